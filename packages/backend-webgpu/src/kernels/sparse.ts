import type { Slice, SparseKernels, SparseRowsSlices } from "@latentkit/tensor";
import { atomic, type Operand, raw, read, write } from "../issue/operands.ts";
import { f32, type Parameter, type Runtime, u32 } from "../runtime.ts";
import { runLength, selectAll, selectRows } from "./select.ts";

type Encode = Pick<SparseKernels, "sparsifyBatchTopK" | "sparsifyJumpRelu" | "sparsifyTopK">;
type Entries = Pick<
  SparseKernels,
  | "reluGradient"
  | "sparseCountFiring"
  | "sparseDecode"
  | "sparseDot"
  | "sparseGather"
  | "sparseRowL0"
  | "sparseSmallest"
  | "sparseToDense"
>;

/** Dense pre-activations to sparse rows, a workgroup to a row: `pre` is read once for JumpReLU, 5 to 6 times for the k largest. */
export function sparseEncodeKernels(runtime: Runtime): Encode {
  return {
    sparsifyTopK(pre, k, allowed, out) {
      selectRows(runtime, {
        name: "sparsifyTopK",
        x: pre,
        rows: out.rows,
        width: out.width,
        k,
        allowed,
        operands: written(out),
        parameters: { capacity: u32(out.capacity) },
        keep: `store_indices(group * p.capacity + place, i32(column));
      store_values(group * p.capacity + place, relu_of(load_x(at)));`,
        finish: "store_counts(group, i32(kept));",
      });
    },

    sparsifyBatchTopK(pre, kept, out) {
      selectAll(runtime, {
        name: "sparsifyBatchTopK",
        x: pre,
        length: out.rows * out.width,
        width: out.width,
        k: kept,
        operands: {
          indices: write(out.indices),
          values: write(out.values),
          rowCounts: write(out.counts),
        },
        parameters: { capacity: u32(out.capacity) },
        keep: `if (inChunk < p.capacity) {
        store_indices(group * p.capacity + inChunk, i32(column));
        store_values(group * p.capacity + inChunk, relu_of(load_x(at)));
      }`,
        finish: "store_rowCounts(group, i32(kept));",
      });
    },

    sparsifyJumpRelu(pre, threshold, bandwidth, out, preActivations) {
      runtime.issue({
        name: "sparsifyJumpRelu",
        operands: {
          x: read(pre),
          threshold: read(threshold),
          ...written(out),
          preActivations: write(preActivations),
        },
        parameters: {
          width: u32(out.width),
          capacity: u32(out.capacity),
          half: f32(bandwidth / 2),
        },
        groups: out.rows,
        body: () => `
fn is_kept(value: f32, limit: f32) -> bool {
  return less_than(limit, value) || less_than(abs(value - limit), p.half);
}
fn run(group: u32, lane: u32) {
  var count = 0u;
  for (var base = 0u; base < p.width; base += LANES * ${runLength}u) {
    let first = base + lane * ${runLength}u;
    let end = min(p.width, first + ${runLength}u);
    var own = 0u;
    for (var column = first; column < end; column++) {
      own += u32(is_kept(load_x(group * p.width + column), load_threshold(column)));
    }
    let places = group_places(lane, own);
    var place = count + places.x;
    for (var column = first; column < end && place < p.capacity; column++) {
      let value = load_x(group * p.width + column);
      let limit = load_threshold(column);
      if (!is_kept(value, limit)) { continue; }
      let entry = group * p.capacity + place;
      store_indices(entry, i32(column));
      store_values(entry, select(0.0, value, less_than(limit, value)));
      store_preActivations(entry, value);
      place++;
    }
    count += places.y;
  }
  if (lane == 0u) { store_counts(group, i32(count)); }
}`,
      });
    },
  };
}

/** The parts of sparse rows that a kernel writes. */
function written({ counts, indices, values }: SparseRowsSlices): Readonly<Record<string, Operand>> {
  return { counts: write(counts), indices: write(indices), values: write(values) };
}

/** Sizes of sparse rows, as kernels read them. */
export function sizesOf(rows: SparseRowsSlices): Readonly<Record<string, Parameter>> {
  return { rows: u32(rows.rows), width: u32(rows.width), capacity: u32(rows.capacity) };
}

/** Text of how many entries a row holds. */
export const heldText = /* wgsl */ `
fn held(row: u32) -> u32 { return min(u32(load_counts(row)), p.capacity); }`;

/** Issues an invocation to each place of an entry; `text` runs where there is one, with its `row` and its `entry`. */
export function forEachEntry(
  runtime: Runtime,
  name: string,
  rows: SparseRowsSlices,
  operands: Readonly<Record<string, Operand | null>>,
  text: () => string,
  parameters: Readonly<Record<string, Parameter>> = {},
): void {
  runtime.issue({
    name,
    operands: { counts: read(rows.counts), ...operands },
    parameters: { ...sizesOf(rows), ...parameters },
    groups: Math.ceil((rows.rows * rows.capacity) / 256),
    body: () => `${heldText}
fn run(group: u32, lane: u32) {
  let entry = group * LANES + lane;
  if (entry >= p.rows * p.capacity) { return; }
  let row = entry / p.capacity;
  if (entry % p.capacity >= held(row)) { return; }
  ${text()}
}`,
  });
}

/** What is done with each entry by itself, or with each row's. */
export function sparseEntryKernels(runtime: Runtime): Entries {
  const clear = (out: Slice, pattern: number): void =>
    runtime.issue({
      name: "clear",
      operands: { out: raw(write(out)) },
      parameters: { count: u32(out.length), pattern: u32(pattern) },
      groups: Math.ceil(out.length / 256),
      body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i < p.count) { store_out(i, p.pattern); }
}`,
    });
  return {
    // A workgroup to a row and 256 columns; each entry's row of the weight is read once.
    sparseDecode(rows, weight, bias, columns, out) {
      const parts = Math.ceil(columns / 256);
      runtime.issue({
        name: "sparseDecode",
        operands: {
          counts: read(rows.counts),
          indices: read(rows.indices),
          values: read(rows.values),
          weight: read(weight),
          bias: bias === null ? null : read(bias),
          out: write(out),
        },
        parameters: { ...sizesOf(rows), columns: u32(columns), parts: u32(parts) },
        groups: rows.rows * parts,
        body: () => `${heldText}
fn run(group: u32, lane: u32) {
  let row = group / p.parts;
  let column = (group % p.parts) * LANES + lane;
  if (column >= p.columns) { return; }
  var sum = ${bias === null ? "0.0" : "load_bias(column)"};
  let end = row * p.capacity + held(row);
  for (var entry = row * p.capacity; entry < end; entry++) {
    let value = load_values(entry);
    // Entries kept for their gradient alone add nothing, not even NaN from an infinite weight.
    if (is_zero(value)) { continue; }
    sum += value * load_weight(u32(load_indices(entry)) * p.columns + column);
  }
  store_out(row * p.columns + column, sum);
}`,
      });
    },

    sparseDot(rows, weight, x, columns, out) {
      runtime.issue({
        name: "sparseDot",
        operands: {
          counts: read(rows.counts),
          indices: read(rows.indices),
          weight: read(weight),
          x: read(x),
          out: write(out),
        },
        parameters: { ...sizesOf(rows), columns: u32(columns) },
        groups: rows.rows * rows.capacity,
        lanes: 64,
        body: () => `${heldText}
fn run(group: u32, lane: u32) {
  let row = group / p.capacity;
  let inside = group % p.capacity < held(row);
  var sum = 0.0;
  if (inside) {
    let start = u32(load_indices(group)) * p.columns;
    for (var c = lane; c < p.columns; c += LANES) {
      sum += load_weight(start + c) * load_x(row * p.columns + c);
    }
  }
  let total = group_sum(lane, sum);
  if (lane == 0u && inside) { store_out(group, total); }
}`,
      });
    },

    // Counts are integers: the order in which they are added does not matter.
    sparseCountFiring(rows, out) {
      forEachEntry(
        runtime,
        "sparseCountFiring",
        rows,
        { indices: read(rows.indices), values: read(rows.values), out: atomic(out) },
        () =>
          "if (load_values(entry) > 0.0) { atomicAddWord_out(p.at_out + u32(load_indices(entry)), 1u); }",
      );
    },

    sparseRowL0(rows, out) {
      runtime.issue({
        name: "sparseRowL0",
        operands: { counts: read(rows.counts), values: read(rows.values), out: write(out) },
        parameters: sizesOf(rows),
        groups: rows.rows,
        lanes: 64,
        body: () => `${heldText}
fn run(group: u32, lane: u32) {
  var found = 0u;
  let end = held(group);
  for (var place = lane; place < end; place += LANES) { found += u32(load_values(group * p.capacity + place) > 0.0); }
  let sum = group_count(lane, found);
  if (lane == 0u) { store_out(group, f32(sum)); }
}`,
      });
    },

    sparseToDense(rows, out) {
      clear({ ...out, length: rows.rows * rows.width }, 0);
      forEachEntry(
        runtime,
        "sparseToDense",
        rows,
        { indices: read(rows.indices), values: read(rows.values), out: write(out) },
        () => "store_out(row * p.width + u32(load_indices(entry)), load_values(entry));",
      );
    },

    sparseGather(rows, dense, out) {
      forEachEntry(
        runtime,
        "sparseGather",
        rows,
        { indices: read(rows.indices), dense: read(dense), out: write(out) },
        () => "store_out(entry, load_dense(row * p.width + u32(load_indices(entry))));",
      );
    },

    // Positive floats have the order of their bits.
    sparseSmallest(rows, out) {
      const one = { ...out, length: 1 };
      clear(one, 0x7f800000);
      forEachEntry(
        runtime,
        "sparseSmallest",
        rows,
        { values: read(rows.values), out: atomic(one) },
        () => `let value = load_values(entry);
  if (less_than(0.0, value)) { atomicMinWord_out(p.at_out, bitcast<u32>(value)); }`,
      );
    },

    reluGradient(rows, dValues, dPre) {
      forEachEntry(
        runtime,
        "reluGradient",
        rows,
        { values: read(rows.values), d: read(dValues), dPre: write(dPre) },
        () => "store_dPre(entry, select(0.0, load_d(entry), less_than(0.0, load_values(entry))));",
      );
    },
  };
}
