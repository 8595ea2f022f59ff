import type { Slice, SparseKernels, SparseRowsSlices } from "@latentkit/tensor";
import { atomic, type Operand, read, write } from "../issue/operands.ts";
import { f32, type Parameter, type Runtime, u32 } from "../runtime.ts";
import { groupByKey } from "./grouped.ts";
import { produce } from "./produce.ts";
import { runningSum } from "./reduce.ts";
import { lanesFor, overRow, rowSum } from "./rows.ts";
import { forEachEntry, heldText, sizesOf } from "./sparse.ts";

type Gradients = Pick<
  SparseKernels,
  | "clipRowNorms"
  | "jumpReluDense"
  | "jumpReluDenseGradient"
  | "jumpReluGradient"
  | "sparseOuterAdd"
  | "sparseScatterAdd"
>;

/** Rows that one invocation adds up for a threshold's gradient. */
const rowsPerChunk = 64;

/** Text of whether a threshold's pseudo-gradient sees a pre-activation: K((pre - theta) / eps) = 1. */
const insideWindow = /* wgsl */ `
fn inside_window(value: f32, limit: f32) -> bool { return less_than(abs(value - limit), p.half); }`;

/**
 * Sums over all entries of a latent. Entries are grouped by latent (see `groupByKey`), and the first of each run adds the run up: no
 * two invocations write one element, and the order of addition is that of the rows.
 */
export function sparseGradientKernels(runtime: Runtime): Gradients {
  return {
    sparseOuterAdd(rows, coefficients, x, columns, out) {
      const parts = Math.ceil(columns / 64);
      overLatents(runtime, "sparseOuterAdd", rows, {
        operands: { coefficients: read(coefficients), x: read(x), out: write(out) },
        parameters: { columns: u32(columns), parts: u32(parts) },
        groupsPerEntry: parts,
        text: () => `
  let column = (group % p.parts) * LANES + lane;
  let first = group / p.parts;
  if (column >= p.columns || !starts_run(first)) { return; }
  let key = load_keys(first);
  clear_total();
  for (var at = first; at < p.entries; at++) {
    if (load_keys(at) != key) { break; }
    let entry = u32(load_order(at));
    add_term(load_coefficients(entry) * load_x((entry / p.capacity) * p.columns + column));
  }
  let place = u32(key) * p.columns + column;
  store_out(place, load_out(place) + total_of());`,
      });
    },

    sparseScatterAdd(rows, coefficients, out) {
      overLatents(runtime, "sparseScatterAdd", rows, {
        operands: { coefficients: read(coefficients), out: write(out) },
        text: () => perLatent("add_term(load_coefficients(entry));", "out"),
      });
    },

    jumpReluGradient(
      rows,
      preActivations,
      threshold,
      bandwidth,
      sparsity,
      dL0,
      dValues,
      dPre,
      dThreshold,
    ) {
      forEachEntry(
        runtime,
        "jumpReluGradient",
        rows,
        {
          indices: read(rows.indices),
          pre: read(preActivations),
          threshold: read(threshold),
          d: read(dValues),
          dPre: write(dPre),
        },
        () =>
          "store_dPre(entry, select(0.0, load_d(entry), less_than(load_threshold(u32(load_indices(entry))), load_pre(entry))));",
      );
      overLatents(runtime, "jumpReluGradient:threshold", rows, {
        operands: {
          pre: read(preActivations),
          threshold: read(threshold),
          d: read(dValues),
          dL0: dL0 === null ? null : read(dL0),
          out: write(dThreshold),
        },
        parameters: {
          half: f32(bandwidth / 2),
          bandwidth: f32(bandwidth),
          sparsity: f32(sparsity),
        },
        library: insideWindow,
        text: () =>
          perLatent(
            `let theta = load_threshold(u32(key));
    if (inside_window(load_pre(entry), theta)) {
      let penalty = p.sparsity${dL0 === null ? "" : " + load_dL0(entry / p.capacity)"};
      add_term(-((theta * load_d(entry) + penalty) / p.bandwidth));
    }`,
            "out",
          ),
      });
    },

    jumpReluDense(pre, threshold, rows, width, out, fired) {
      runtime.issue({
        name: "jumpReluDense",
        operands: {
          x: read(pre),
          threshold: read(threshold),
          out: write(out),
          fired: atomic(fired),
        },
        parameters: { rows: u32(rows), width: u32(width) },
        groups: Math.ceil(width / 64) * Math.ceil(rows / rowsPerChunk),
        lanes: 64,
        body: () => `
fn run(group: u32, lane: u32) {
  let across = (p.width + LANES - 1u) / LANES;
  let column = (group % across) * LANES + lane;
  if (column >= p.width) { return; }
  let limit = load_threshold(column);
  let start = (group / across) * ${rowsPerChunk}u;
  var count = 0u;
  for (var row = start; row < min(p.rows, start + ${rowsPerChunk}u); row++) {
    let value = load_x(row * p.width + column);
    let fires = less_than(limit, value);
    store_out(row * p.width + column, select(0.0, value, fires));
    count += u32(fires);
  }
  if (count > 0u) { atomicAddWord_fired(p.at_fired + column, count); }
}`,
      });
    },

    jumpReluDenseGradient(
      pre,
      threshold,
      rows,
      width,
      bandwidth,
      sparsity,
      dValues,
      dPre,
      dThreshold,
    ) {
      const chunks = Math.ceil(rows / rowsPerChunk);
      if (chunks === 0) return;
      runtime.withScratch([["f32", chunks * width]], (partial) => {
        runtime.issue({
          name: "jumpReluDenseGradient",
          operands: {
            x: read(pre),
            threshold: read(threshold),
            d: read(dValues),
            dPre: write(dPre),
            partial: write(partial),
          },
          parameters: {
            rows: u32(rows),
            width: u32(width),
            half: f32(bandwidth / 2),
            bandwidth: f32(bandwidth),
            sparsity: f32(sparsity),
          },
          groups: Math.ceil(width / 64) * chunks,
          lanes: 64,
          body: () => `${insideWindow}${runningSum}
fn run(group: u32, lane: u32) {
  let across = (p.width + LANES - 1u) / LANES;
  let column = (group % across) * LANES + lane;
  if (column >= p.width) { return; }
  let theta = load_threshold(column);
  let part = group / across;
  clear_total();
  for (var row = part * ${rowsPerChunk}u; row < min(p.rows, (part + 1u) * ${rowsPerChunk}u); row++) {
    let at = row * p.width + column;
    let value = load_x(at);
    let gradient = load_d(at);
    store_dPre(at, select(0.0, gradient, less_than(theta, value)));
    if (inside_window(value, theta)) { add_term(-((theta * gradient + p.sparsity) / p.bandwidth)); }
  }
  store_partial(part * p.width + column, total_of());
}`,
        });
        produce(runtime, {
          name: "jumpReluDenseGradient:chunks",
          out: dThreshold,
          operands: { partial: read(partial) },
          parameters: { chunks: u32(chunks), width: u32(width) },
          element: () => `${runningSum}
fn element(i: u32) -> f32 {
  clear_total();
  for (var part = 0u; part < p.chunks; part++) { add_term(load_partial(part * p.width + i)); }
  return load_out(i) + total_of();
}`,
        });
      });
    },

    clipRowNorms(x, rows, columns, maximum) {
      runtime.issue({
        name: "clipRowNorms",
        operands: { x: write(x) },
        parameters: { columns: u32(columns), maximum: f32(maximum) },
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  ${rowSum("squares", "load_x(at) * load_x(at)")}
  let norm = sqrt_of(squares);
  if (!(norm > p.maximum)) { return; }
  let part = p.maximum / norm;
  ${overRow("store_x(at, load_x(at) * part);")}
}`,
      });
    },
  };
}

interface LatentWork {
  readonly operands: Readonly<Record<string, Operand | null>>;
  readonly parameters?: Readonly<Record<string, Parameter>> | undefined;
  /** Workgroups to an entry; without it an invocation to an entry. */
  readonly groupsPerEntry?: number | undefined;
  readonly library?: string | undefined;
  readonly text: () => string;
}

/** Issues work over entries in the order of their latents: `load_keys(i)` is the latent, `load_order(i)` the entry's place. */
function overLatents(
  runtime: Runtime,
  name: string,
  rows: SparseRowsSlices,
  work: LatentWork,
): void {
  const entries = rows.rows * rows.capacity;
  if (entries === 0) return;
  const { operands, parameters = {}, groupsPerEntry, library = "", text } = work;
  runtime.withScratch([["i32", entries]], (latents) => {
    latentsOf(runtime, rows, latents);
    groupByKey(runtime, latents, entries, (keys, order) => {
      runtime.issue({
        name,
        operands: { keys: read(keys), order: read(order), ...operands },
        parameters: { ...sizesOf(rows), entries: u32(entries), ...parameters },
        groups: groupsPerEntry === undefined ? Math.ceil(entries / 64) : entries * groupsPerEntry,
        lanes: 64,
        body: () => `${runningSum}${library}
fn starts_run(at: u32) -> bool {
  let key = load_keys(at);
  return key >= 0 && (at == 0u || load_keys(at - 1u) != key);
}
fn run(group: u32, lane: u32) {
${text()}
}`,
      });
    });
  });
}

/** Text that adds up a latent's entries by one invocation, `term` for each, into its element of an operand. */
function perLatent(term: string, target: string): string {
  return `  let first = group * LANES + lane;
  if (first >= p.entries) { return; }
  if (!starts_run(first)) { return; }
  let key = load_keys(first);
  clear_total();
  for (var at = first; at < p.entries; at++) {
    if (load_keys(at) != key) { break; }
    let entry = u32(load_order(at));
    ${term}
  }
  store_${target}(u32(key), load_${target}(u32(key)) + total_of());`;
}

/** Each place's latent; -1 where there is no entry. */
function latentsOf(runtime: Runtime, rows: SparseRowsSlices, latents: Slice): void {
  produce(runtime, {
    name: "latentsOf",
    out: latents,
    operands: { counts: read(rows.counts), indices: read(rows.indices) },
    parameters: sizesOf(rows),
    element: () => `${heldText}
fn element(i: u32) -> i32 {
  if (i % p.capacity >= held(i / p.capacity)) { return -1; }
  return load_indices(i);
}`,
  });
}
