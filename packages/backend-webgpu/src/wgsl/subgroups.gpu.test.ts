import { Random } from "@latentkit/core";
import { registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { read, write } from "../issue/operands.ts";
import { u32 } from "../runtime.ts";
import { openForTest, reasonToSkip } from "../test-support.ts";
import type { WebGpuBackend } from "../tuner/tune.ts";

registerMatchers(expect);
const skip = await reasonToSkip();

/** One program with every reduction that has two forms, over 5 workgroups of so many invocations. */
async function reduced(values: Float32Array<ArrayBuffer>, lanes: number, bySubgroups: boolean) {
  const { device } = await openForTest({ off: bySubgroups ? [] : ["subgroups"] });
  const { runtime, features } = (device.backend as WebGpuBackend).tuning;
  const x = device.tensor(values, [values.length]);
  const floats = device.full([3 * (values.length / lanes)], 0);
  const places = device.full([2 * values.length], 0);
  runtime.issue({
    name: "reductions",
    operands: { x: read(x.slice), floats: write(floats.slice), places: write(places.slice) },
    parameters: { length: u32(values.length) },
    groups: values.length / lanes,
    lanes,
    body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  let value = load_x(i);
  let total = group_sum(lane, value);
  let largest = group_max(lane, value);
  let smallest = group_min(lane, value);
  if (lane == LANES - 1u) {
    store_floats(3u * group, total);
    store_floats(3u * group + 1u, largest);
    store_floats(3u * group + 2u, smallest);
  }
  var before = vec2u(0u, 0u);
  for (var turn = 0u; turn < 2u; turn++) {
    let places = group_places(lane, (lane + turn) % 3u);
    before += vec2u(places.x * (turn + 1u), places.y);
  }
  store_places(2u * i, f32(before.x));
  store_places(2u * i + 1u, f32(before.y));
}`,
  });
  const found = { floats: await floats.floats(), places: await places.floats(), features };
  device.dispose();
  return found;
}

describe.skipIf(skip !== null)("reductions over a workgroup", () => {
  const lanes = 64;
  const values = new Float32Array(5 * lanes);
  new Random(5).fillNormal(values);
  // NaN wins, infinities are kept, and one group is of negative numbers alone.
  values[lanes + 17] = Number.NaN;
  values[2 * lanes + 3] = Number.POSITIVE_INFINITY;
  values[3 * lanes + 60] = Number.NEGATIVE_INFINITY;
  for (let i = 4 * lanes; i < 5 * lanes; i++) values[i] = -Math.abs(values[i] ?? 0) - 1;
  const wantedFloats = Array.from({ length: 5 }, (_, group) => {
    const part = [...values.subarray(group * lanes, (group + 1) * lanes)];
    return [part.reduce((a, b) => a + b, 0), Math.max(...part), Math.min(...part)];
  }).flat();
  const wantedPlaces = Array.from({ length: 5 * lanes }, (_, i) => {
    const before = (turn: number, end: number): number =>
      Array.from({ length: end }, (_unused, at) => (at + turn) % 3).reduce((a, b) => a + b, 0);
    const lane = i % lanes;
    return [before(0, lane) + 2 * before(1, lane), before(0, lanes) + before(1, lanes)];
  }).flat();

  it.each([
    ["subgroups, where there are some", true],
    ["workgroup memory alone", false],
  ])("by %s are those of f64, NaN and infinities included", async (_, bySubgroups) => {
    const { floats, places, features } = await reduced(values, lanes, bySubgroups);
    if (!bySubgroups) expect(features.subgroups).toBe(false);
    expect(floats).toBeClose(wantedFloats, { rtol: 1e-6, atol: 1e-5 });
    expect([...places]).toEqual(wantedPlaces);
  });
});
