import type { Slice, SortKernels } from "@latentkit/tensor";
import { raw, read, write } from "../issue/operands.ts";
import { type Runtime, u32 } from "../runtime.ts";
import { bitsOf } from "./memory.ts";
import { powerOfTwo, sortKeys } from "./order.ts";
import { runLength, selectAll, selectRows } from "./select.ts";

/** Elements that a workgroup of {@link selectAll} looks through. */
const chunk = 2048;

/** Order along rows and running sums. */
export function sortKernels(runtime: Runtime): SortKernels {
  return {
    sortRows(x, rows, columns, descending, values, indices) {
      if (rows * columns === 0) return;
      const width = powerOfTwo(columns);
      runtime.withScratch(
        [
          ["i32", rows * width],
          ["i32", rows * width],
        ],
        (keys, order) => {
          const key =
            x.dtype === "i32" ? "bitcast<u32>(load_x(at)) ^ 0x80000000u" : "order_of(load_x(at))";
          runtime.issue({
            name: `sortRows:keys:${x.dtype}:${descending ? "down" : "up"}`,
            operands: { x: read(x), keys: raw(write(keys)), order: raw(write(order)) },
            parameters: { total: u32(rows * width), width: u32(width), columns: u32(columns) },
            groups: Math.ceil((rows * width) / 256),
            body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.total) { return; }
  let column = i % p.width;
  var key = 0xffffffffu;
  if (column < p.columns) {
    let at = (i / p.width) * p.columns + column;
    key = ${descending ? "~" : ""}(${key});
  }
  store_keys(i, key);
  store_order(i, column);
}`,
          });
          sortKeys(runtime, { rows, width, keys, rest: null, order });
          takeInOrder(runtime, { x, rows, columns, order, width, kept: columns, values, indices });
        },
      );
    },

    topKRows(x, rows, columns, k, values, indices) {
      if (rows * k === 0) return;
      const width = powerOfTwo(k);
      withCandidates(runtime, rows, width, (keys, order) => {
        selectRows(runtime, {
          name: "topKRows",
          x,
          rows,
          width: columns,
          k,
          allowed: null,
          operands: { keys: raw(write(keys)), order: raw(write(order)) },
          parameters: { room: u32(width) },
          keep: `store_keys(group * p.room + place, ~key);
      store_order(group * p.room + place, column);`,
        });
        sortKeys(runtime, { rows, width, keys, rest: null, order });
        takeInOrder(runtime, { x, rows, columns, order, width, kept: k, values, indices });
      });
    },

    topKAll(x, k, values, indices) {
      if (k === 0) return;
      const width = powerOfTwo(k);
      withCandidates(runtime, 1, width, (keys, order) => {
        selectAll(runtime, {
          name: "topKAll",
          x,
          length: x.length,
          width: chunk,
          k,
          operands: { keys: raw(write(keys)), order: raw(write(order)) },
          keep: `store_keys(place, ~key);
      store_order(place, at);`,
        });
        sortKeys(runtime, { rows: 1, width, keys, rest: null, order });
        takeInOrder(runtime, {
          x,
          rows: 1,
          columns: x.length,
          order,
          width,
          kept: k,
          values,
          indices,
        });
      });
    },

    cumsum(x, { outer, axis, inner, reverse, exclusive }, out) {
      const lines = outer * inner;
      const place = `(line / p.inner * p.axis + ${reverse ? "p.axis - 1u - step" : "step"}) * p.inner + line % p.inner`;
      const parameters = { lines: u32(lines), axis: u32(axis), inner: u32(inner) };
      const kind = `${reverse ? "reverse" : ""}:${exclusive ? "exclusive" : ""}`;
      const operands = { x: read(x), out: write(out) };
      if (inner >= 32) {
        // An invocation to a line: neighbours read neighbours.
        runtime.issue({
          name: `cumsum:columns:${kind}`,
          operands,
          parameters,
          groups: Math.ceil(lines / 64),
          lanes: 64,
          body: () => `
fn run(group: u32, lane: u32) {
  let line = group * LANES + lane;
  if (line >= p.lines) { return; }
  var sum = vec2f(0.0, 0.0);
  for (var step = 0u; step < p.axis; step++) {
    let at = ${place};
    let before = sum;
    sum = add_doubles(sum, vec2f(load_x(at), 0.0));
    store_out(at, ${exclusive ? "before.x + before.y" : "sum.x + sum.y"});
  }
}`,
        });
        return;
      }
      runtime.issue({
        name: `cumsum:lines:${kind}`,
        operands,
        parameters,
        groups: axis === 0 ? 0 : lines,
        lanes: 64,
        body: () => `
fn run(group: u32, lane: u32) {
  let line = group;
  var carry = vec2f(0.0, 0.0);
  for (var base = 0u; base < p.axis; base += LANES * ${runLength}u) {
    let start = base + lane * ${runLength}u;
    let end = min(p.axis, start + ${runLength}u);
    var own = vec2f(0.0, 0.0);
    for (var step = start; step < end; step++) { own = add_doubles(own, vec2f(load_x(${place}), 0.0)); }
    let sums = group_scan(lane, own);
    var sum = add_doubles(carry, sums.xy);
    carry = add_doubles(carry, sums.zw);
    for (var step = start; step < end; step++) {
      let at = ${place};
      let before = sum;
      sum = add_doubles(sum, vec2f(load_x(at), 0.0));
      store_out(at, ${exclusive ? "before.x + before.y" : "sum.x + sum.y"});
    }
  }
}`,
      });
    },
  };
}

/** Scratch for rows of candidates, all of them keys that come last. */
function withCandidates(
  runtime: Runtime,
  rows: number,
  width: number,
  use: (keys: Slice, order: Slice) => void,
): void {
  runtime.withScratch(
    [
      ["i32", rows * width],
      ["i32", rows * width],
    ],
    (keys, order) => {
      runtime.issue({
        name: "candidates",
        operands: { keys: raw(write(keys)), order: raw(write(order)) },
        parameters: { total: u32(rows * width) },
        groups: Math.ceil((rows * width) / 256),
        body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.total) { return; }
  store_keys(i, 0xffffffffu);
  store_order(i, 0xffffffffu);
}`,
      });
      use(keys, order);
    },
  );
}

interface Taken {
  readonly x: Slice;
  readonly rows: number;
  readonly columns: number;
  readonly order: Slice;
  /** Elements of a row of `order`. */
  readonly width: number;
  readonly kept: number;
  readonly values: Slice;
  readonly indices: Slice;
}

/** Writes each row's first `kept` columns of an order, and the elements there. */
function takeInOrder(runtime: Runtime, taken: Taken): void {
  const { x, rows, columns, order, width, kept, values, indices } = taken;
  runtime.issue({
    name: "takeInOrder",
    operands: {
      x: bitsOf(read(x)),
      order: raw(read(order)),
      values: bitsOf(write(values)),
      indices: raw(write(indices)),
    },
    parameters: {
      total: u32(rows * kept),
      columns: u32(columns),
      width: u32(width),
      kept: u32(kept),
    },
    groups: Math.ceil((rows * kept) / 256),
    body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.total) { return; }
  let row = i / p.kept;
  let column = load_order(row * p.width + i % p.kept);
  store_values(i, load_x(row * p.columns + column));
  store_indices(i, column);
}`,
  });
}
