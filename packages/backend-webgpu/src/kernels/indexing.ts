import type { AxisPlan, IndexingKernels, Slice } from "@latentkit/tensor";
import { read, write } from "../issue/operands.ts";
import { i32, type Runtime, u32 } from "../runtime.ts";
import { groupByKey } from "./grouped.ts";
import { bitsOf } from "./memory.ts";
import { produce } from "./produce.ts";
import { runningSum } from "./reduce.ts";

/**
 * Rows and elements by index. Reads move each picked element once. Sums group the updates by index first (see `groupByKey`), so that
 * no two invocations write one element and the order of addition is always the same.
 */
export function indexingKernels(runtime: Runtime): IndexingKernels {
  return {
    embedding(table, ids, rows, columns, out) {
      const widened =
        table.dtype === "f16" ? "widen_f16(bits)" : table.dtype === "bf16" ? "bits << 16u" : "bits";
      produce(runtime, {
        name: `embedding:${table.dtype}`,
        out: { ...out, length: rows * columns },
        raw: true,
        operands: { x: bitsOf(read(table)), ids: read(ids) },
        parameters: { columns: u32(columns), rows: u32(table.length / columns) },
        element: () => `
fn element(i: u32) -> u32 {
  let id = load_ids(i / p.columns);
  if (id < 0 || id >= i32(p.rows)) { return 0x7fc00000u; }
  let bits = load_x(u32(id) * p.columns + i % p.columns);
  return ${widened};
}`,
      });
    },

    indexSelect: (x, ids, plan, out) => pick(runtime, x, ids, plan, false, out),
    gatherAxis: (x, indices, plan, out) => pick(runtime, x, indices, plan, true, out),

    indexAdd(updates, ids, plan, out) {
      const { outer, axis, inner, picks } = plan;
      if (outer * inner === 0 || picks === 0) return;
      groupByKey(runtime, ids, picks, (keys, order) => {
        runtime.issue({
          name: "indexAdd",
          operands: { x: read(updates), keys: read(keys), order: read(order), out: write(out) },
          parameters: {
            count: u32(picks * outer * inner),
            outer: u32(outer),
            axis: u32(axis),
            inner: u32(inner),
            picks: u32(picks),
          },
          groups: Math.ceil((picks * outer * inner) / 256),
          body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.count) { return; }
  let column = i % p.inner;
  let line = (i / p.inner) % p.outer;
  let first = i / (p.inner * p.outer);
  let key = load_keys(first);
  // The first of equal keys adds them all.
  if (key < 0 || key >= i32(p.axis) || (first > 0u && load_keys(first - 1u) == key)) { return; }
  clear_total();
  for (var at = first; at < p.picks; at++) {
    if (load_keys(at) != key) { break; }
    add_term(load_x((line * p.picks + u32(load_order(at))) * p.inner + column));
  }
  let place = (line * p.axis + u32(key)) * p.inner + column;
  store_out(place, load_out(place) + total_of());
}`,
        });
      });
    },

    // An invocation to each line: its updates go to no other line.
    scatterAddAxis(updates, indices, plan, out) {
      const { outer, axis, inner, picks } = plan;
      runtime.issue({
        name: "scatterAddAxis",
        operands: { x: read(updates), indices: read(indices), out: write(out) },
        parameters: {
          lines: u32(outer * inner),
          axis: u32(axis),
          inner: u32(inner),
          picks: u32(picks),
        },
        groups: Math.ceil((outer * inner) / 64),
        lanes: 64,
        body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.lines) { return; }
  let column = i % p.inner;
  let line = i / p.inner;
  for (var pick = 0u; pick < p.picks; pick++) {
    let origin = (line * p.picks + pick) * p.inner + column;
    let index = load_indices(origin);
    if (index < 0 || index >= i32(p.axis)) { continue; }
    let to = (line * p.axis + u32(index)) * p.inner + column;
    store_out(to, load_out(to) + load_x(origin));
  }
}`,
      });
    },

    oneHot(ids, width, out) {
      produce(runtime, {
        name: "oneHot",
        out: { ...out, length: ids.length * width },
        operands: { ids: read(ids) },
        parameters: { width: u32(width) },
        element: () =>
          "fn element(i: u32) -> f32 { return select(0.0, 1.0, load_ids(i / p.width) == i32(i % p.width)); }",
      });
    },

    firstOutside(ids, bound, out) {
      runtime.issue({
        name: "firstOutside",
        operands: { ids: read(ids), out: write(out) },
        parameters: { count: u32(ids.length), bound: i32(bound) },
        groups: 1,
        body: () => `
fn run(group: u32, lane: u32) {
  var first = 0xffffffffu;
  for (var i = lane; i < p.count; i += LANES) {
    let id = load_ids(i);
    if (id < 0 || id >= p.bound) {
      first = i;
      break;
    }
  }
  let place = group_least(lane, first);
  if (lane != 0u) { return; }
  store_out(0u, bitcast<i32>(place));
  if (place == 0xffffffffu) {
    store_out(1u, 0);
  } else {
    store_out(1u, load_ids(place));
  }
}`,
      });
    },
  };
}

/** `out[o, p, i] = x[o, index, i]` with one index for a whole row of `inner`, or one for each element. */
function pick(
  runtime: Runtime,
  x: Slice,
  indices: Slice,
  plan: AxisPlan,
  each: boolean,
  out: Slice,
): void {
  const { outer, axis, inner, picks } = plan;
  const lost = { f32: "0x7fc00000u", f16: "0x7e00u", bf16: "0x7fc0u", i32: "0u", u8: "0u" }[
    x.dtype
  ];
  produce(runtime, {
    name: `pick:${each ? "each" : "rows"}:${x.dtype}`,
    out: { ...out, length: outer * picks * inner },
    raw: true,
    operands: { x: bitsOf(read(x)), indices: read(indices) },
    parameters: { axis: u32(axis), inner: u32(inner), picks: u32(picks) },
    element: () => `
fn element(i: u32) -> u32 {
  let row = i / p.inner;
  let index = load_indices(${each ? "i" : "row % p.picks"});
  if (index < 0 || index >= i32(p.axis)) { return ${lost}; }
  return load_x(((row / p.picks) * p.axis + u32(index)) * p.inner + i % p.inner);
}`,
  });
}
