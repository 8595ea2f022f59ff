import type { Slice } from "@latentkit/tensor";
import { raw, read, write } from "../issue/operands.ts";
import { type Runtime, u32 } from "../runtime.ts";
import { powerOfTwo, sortKeys } from "./order.ts";

/**
 * Brings equal keys together without changing the order among them: calls `use` with the keys (i32) in ascending order, negative ones
 * last, and the places that they came from. Scatters that add become sums over runs of equal keys, which one invocation takes in
 * order: results do not depend on how a device schedules, as they would with atomic additions.
 */
export function groupByKey(
  runtime: Runtime,
  ids: Slice,
  count: number,
  use: (keys: Slice, order: Slice) => void,
): void {
  const width = powerOfTwo(count);
  runtime.withScratch(
    [
      ["i32", width],
      ["i32", width],
    ],
    (keys, order) => {
      runtime.issue({
        name: "groupByKey",
        operands: { ids: raw(read(ids)), keys: raw(write(keys)), order: raw(write(order)) },
        parameters: { count: u32(count), width: u32(width) },
        groups: Math.ceil(width / 256),
        body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.width) { return; }
  var key = 0xffffffffu;
  if (i < p.count) { key = load_ids(i); }
  store_keys(i, key);
  store_order(i, i);
}`,
      });
      sortKeys(runtime, { rows: 1, width, keys, rest: null, order });
      use(keys, order);
    },
  );
}
