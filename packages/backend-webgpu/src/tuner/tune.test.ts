import type { Device, Slice } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { leastFeatures } from "../features.ts";
import { choosePlan, Plans } from "../kernels/matmul/choose.ts";
import { candidatesOf, nameOfPlan } from "../kernels/matmul/plan.ts";
import { noPlans, parseTunedPlans, withPlans } from "./store.ts";
import { tuneMatmul, type TuneMeasurement } from "./tune.ts";

/** A device whose clock says what a table does: seconds of one product by the plan's name. */
function deviceOf(secondsOf: (plan: string) => number): { device: Device; plans: Plans } {
  const plans = new Plans(leastFeatures);
  let issued = 0;
  const runtime = {
    features: leastFeatures,
    plans,
    halves: false,
    issue: ({ name }: { readonly name: string }): void => {
      const [, plan = ""] = /^matmul:(.*):[nt]{2}:/.exec(name) ?? [];
      if (plan !== "") issued += secondsOf(plan);
    },
    withScratch: (wanted: readonly unknown[], use: (...slices: Slice[]) => void): void =>
      use(...wanted.map(() => ({ dtype: "f32", length: 1e6, offset: 0 }) as Slice)),
  };
  const stopwatch = {
    seconds: (issue: () => void): Promise<number> => {
      issued = 0;
      issue();
      return Promise.resolve(issued);
    },
  };
  const tuning = { adapter: "planted", runtime, features: leastFeatures, plans, stopwatch };
  // The tuner asks for nothing else of a device.
  return { device: { backend: { info: { name: "webgpu" }, tuning } } as unknown as Device, plans };
}

const shape = { m: 500, n: 500, k: 500, transposeB: true };
const full = { ...shape, batch: 1, transposeA: false, halves: false };

describe("the tuner", () => {
  it("measures every plan, takes the fastest from then on, and tells it by class and adapter", async () => {
    const fast = "tiled:32x32x16:4x4:1:f32";
    expect(nameOfPlan(choosePlan(full, leastFeatures))).not.toBe(fast);
    const { device, plans } = deviceOf((plan) => (plan === fast ? 0.001 : 0.002));
    const seen: TuneMeasurement[] = [];
    const before = withPlans(noPlans, "another", { x: "few-rows" });
    const store = await tuneMatmul(device, [shape], {
      store: before,
      onProgress: (measured) => seen.push(measured),
    });
    expect(seen.map(({ plan }) => plan)).toEqual(candidatesOf(full, leastFeatures).map(nameOfPlan));
    expect(seen.find(({ plan }) => plan === fast)?.seconds).toBeCloseTo(0.001, 9);
    expect(store).toEqual({
      schemaVersion: 1,
      adapters: { another: { x: "few-rows" }, planted: { "nt:b1:m512:n512:k512:f32": fast } },
    });
    expect(nameOfPlan(plans.planFor(full))).toBe(fast);
    expect(parseTunedPlans(JSON.parse(JSON.stringify(store)))).toEqual(store);
  });

  it("stops at a signal", async () => {
    const { device } = deviceOf(() => 0.001);
    const stop = new AbortController();
    const seen: TuneMeasurement[] = [];
    const run = tuneMatmul(device, [shape], {
      signal: stop.signal,
      onProgress: (measured) => {
        seen.push(measured);
        stop.abort();
      },
    });
    await expect(run).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
    expect(seen).toHaveLength(1);
  });

  it.each([0, -1, 1.5, Number.NaN])("refuses a size of %d", async (m) => {
    const { device } = deviceOf(() => 0.001);
    await expect(tuneMatmul(device, [{ ...shape, m }])).rejects.toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it("refuses another backend's device", async () => {
    const cpu = { backend: { info: { name: "cpu" } } } as unknown as Device;
    await expect(tuneMatmul(cpu, [shape])).rejects.toThrow(
      expect.objectContaining({ code: "NOT_WEBGPU" }),
    );
  });
});

describe("a store of plans", () => {
  it.each([
    null,
    [],
    {},
    { schemaVersion: 2, adapters: {} },
    { schemaVersion: 1 },
    { schemaVersion: 1, adapters: { a: null } },
    { schemaVersion: 1, adapters: { a: { "nt:b1": 3 } } },
  ])("is refused where it is none: %j", (value) => {
    expect(() => parseTunedPlans(value)).toThrow(
      expect.objectContaining({ code: "TUNED_PLANS_INVALID" }),
    );
  });
});
