import type { ReduceKernels, ReduceOperator, Slice } from "@latentkit/tensor";
import { type Operand, read, write } from "../issue/operands.ts";
import { f32, type Parameter, type Runtime, u32 } from "../runtime.ts";
import { mapFloats, produce } from "./produce.ts";

/** Elements that a workgroup, or an invocation of it, reduces by itself at most; longer axes are split and reduced once more. */
const chunk = 8192;

/** What a reduction does to an element, how two results are joined, and what it starts with. */
interface Reduction {
  readonly start: string;
  readonly map: string;
  readonly group: "max" | "min" | "product" | "sum";
}

const plain = (group: Reduction["group"], start: string): Reduction => ({ group, start, map: "v" });
const additions: Reduction = plain("sum", "0.0");
const reductions: Readonly<Record<Exclude<ReduceOperator, "logSumExp" | "mean">, Reduction>> = {
  max: plain("max", "-infinity()"),
  min: plain("min", "infinity()"),
  product: plain("product", "1.0"),
  sum: additions,
  sumOfMagnitudes: { ...additions, map: "abs(v)" },
  sumOfSquares: { ...additions, map: "v * v" },
};

const joins: Readonly<Record<Exclude<Reduction["group"], "product">, string>> = {
  max: "larger(a, b)",
  min: "smaller(a, b)",
  sum: "a + b",
};

/** The same interface for products: every factor adds a rounding error, whatever the order, so they are taken in doubles. */
const runningProduct = /* wgsl */ `
var<private> total_product: vec2f;
fn clear_total() { total_product = vec2f(1.0, 0.0); }
fn add_term(v: f32) { total_product = multiply_doubles(total_product, vec2f(v, 0.0)); }
fn total_of() -> vec2f { return total_product; }`;

/**
 * Text of a running total in three levels, 32 terms each, so that rounding errors grow with its logarithm: `add_term(v)`,
 * `total_of()`. With one term it is the term.
 */
export function runningTotal(start: string, join: string): string {
  return /* wgsl */ `
fn joined(a: f32, b: f32) -> f32 { return ${join}; }
var<private> total_terms: u32;
var<private> total_0: f32;
var<private> total_1: f32;
var<private> total_2: f32;
fn clear_total() {
  total_terms = 0u;
  total_0 = ${start};
  total_1 = ${start};
  total_2 = ${start};
}
fn add_term(v: f32) {
  total_0 = joined(total_0, v);
  total_terms++;
  if ((total_terms & 31u) != 0u) { return; }
  total_1 = joined(total_1, total_0);
  total_0 = ${start};
  if ((total_terms & 1023u) != 0u) { return; }
  total_2 = joined(total_2, total_1);
  total_1 = ${start};
}
fn total_of() -> f32 { return joined(total_2, joined(total_1, total_0)); }`;
}

/** Text of a sum's running total. */
export const runningSum: string = runningTotal("0.0", "a + b");

/** One pass over `[outer, axis, inner]` in chunks of the axis, to `[outer, chunks, inner]`. */
interface Pass {
  readonly name: string;
  readonly x: Slice;
  readonly outer: number;
  readonly axis: number;
  readonly inner: number;
  readonly size: number;
  readonly out: Slice;
  readonly operands?: Readonly<Record<string, Operand>> | undefined;
  readonly parameters?: Readonly<Record<string, Parameter>> | undefined;
  readonly reduction: Reduction;
  /** What is written, from `total` and `o`, the index of [outer, inner]. */
  readonly finish?: string | undefined;
  /** The term, where it is more than the reduction's map: from `v` and `o`. */
  readonly map?: string | undefined;
}

/**
 * Where few columns stand side by side a workgroup walks one line's chunk, its invocations next to each other; where there are many,
 * an invocation walks a column's chunk, so that neighbours read neighbours.
 */
function pass(runtime: Runtime, work: Pass): void {
  const { name, x, outer, axis, inner, size, out, reduction } = work;
  const chunks = Math.ceil(axis / size);
  const outputs = outer * chunks * inner;
  const byColumns = inner >= 32;
  const lanes = byColumns || size > 2048 ? 256 : 64;
  const { start, group } = reduction;
  runtime.issue({
    name: `reduce:${byColumns ? "columns" : "lines"}:${name}`,
    operands: { x: read(x), ...work.operands, out: write(out) },
    parameters: {
      outputs: u32(outputs),
      axis: u32(axis),
      inner: u32(inner),
      size: u32(size),
      chunks: u32(chunks),
      ...work.parameters,
    },
    groups: byColumns ? Math.ceil(outputs / lanes) : outputs,
    lanes,
    body: () => `${group === "product" ? runningProduct : runningTotal(start, joins[group])}
fn term(v: f32, o: u32) -> f32 { return ${work.map ?? reduction.map}; }
fn finished(total: f32, o: u32) -> f32 { return ${work.finish ?? "total"}; }
fn run(group: u32, lane: u32) {
  let output = ${byColumns ? "group * LANES + lane" : "group"};
  ${byColumns ? "if (output >= p.outputs) { return; }" : ""}
  let column = output % p.inner;
  let part = (output / p.inner) % p.chunks;
  let line = output / (p.inner * p.chunks);
  let o = line * p.inner + column;
  let end = min(p.axis, (part + 1u) * p.size);
  clear_total();
  for (var k = part * p.size + ${byColumns ? "0u" : "lane"}; k < end; k += ${byColumns ? "1u" : "LANES"}) {
    add_term(term(load_x((line * p.axis + k) * p.inner + column), o));
  }
  ${
    byColumns
      ? `store_out(output, finished(total_of()${group === "product" ? ".x" : ""}, o));`
      : `let total = group_${group}(lane, total_of())${group === "product" ? ".x" : ""};
  if (lane == 0u) { store_out(output, finished(total, o)); }`
  }
}`,
  });
}

/** How long chunks are: such that there are enough of them to fill a device, but none is short. */
function chunkOf(outputs: number, axis: number, inner: number): number {
  const most = inner >= 32 ? 512 : chunk;
  if (axis <= most) return axis;
  const wanted = Math.ceil(1024 / Math.max(1, inner >= 32 ? outputs / 256 : outputs));
  const chunks = Math.min(Math.ceil(axis / most), Math.max(wanted, Math.ceil(axis / 65_536)));
  return Math.ceil(axis / Math.max(1, chunks));
}

/** A reduction in one pass, or in two where the axis is long and there is little else to do at the same time. */
function reduceInPasses(runtime: Runtime, work: Omit<Pass, "size">): void {
  const { outer, axis, inner, reduction } = work;
  const size = chunkOf(outer * inner, axis, inner);
  const chunks = Math.ceil(axis / size);
  if (chunks <= 1) {
    pass(runtime, { ...work, size: axis });
    return;
  }
  runtime.withScratch([["f32", outer * chunks * inner]], (partial) => {
    pass(runtime, { ...work, size, out: partial, finish: undefined, name: `${work.name}:part` });
    pass(runtime, {
      name: `${reduction.group}:${work.finish ?? ""}`,
      x: partial,
      outer,
      axis: chunks,
      inner,
      size: chunks,
      out: work.out,
      operands: work.operands,
      parameters: work.parameters,
      reduction: { ...reduction, map: "v" },
      finish: work.finish,
    });
  });
}

/** Reductions: each reads its input once, the variance three times: the mean, its correction, the squares. */
export function reduceKernels(runtime: Runtime): ReduceKernels {
  const sums = (
    x: Slice,
    outer: number,
    axis: number,
    inner: number,
    out: Slice,
    divisor: number,
  ) =>
    reduceInPasses(runtime, {
      name: "mean",
      x,
      outer,
      axis,
      inner,
      out,
      parameters: { divisor: f32(divisor) },
      reduction: additions,
      finish: "total / p.divisor",
    });
  return {
    reduce(operator, x, outer, axis, inner, out) {
      if (operator === "mean") {
        sums(x, outer, axis, inner, out, axis);
        return;
      }
      if (operator !== "logSumExp") {
        const reduction = reductions[operator];
        reduceInPasses(runtime, { name: operator, x, outer, axis, inner, out, reduction });
        return;
      }
      // log sum e^(x - m) + m, with the largest m, or 0 where that is infinite.
      runtime.withScratch([["f32", outer * inner]], (largest) => {
        reduceInPasses(runtime, {
          name: "max",
          x,
          outer,
          axis,
          inner,
          out: largest,
          reduction: reductions.max,
        });
        reduceInPasses(runtime, {
          name: "logSumExp",
          x,
          outer,
          axis,
          inner,
          out,
          operands: { largest: read(largest) },
          reduction: additions,
          map: "exp_of(v - offset_of(load_largest(o)))",
          finish: "log_of(total) + offset_of(load_largest(o))",
        });
      });
    },

    variance(x, outer, axis, inner, correction, out) {
      runtime.withScratch([["f32", outer * inner]], (mean) => {
        sums(x, outer, axis, inner, mean, axis);
        // What rounding has left of the mean, which shows where numbers are far from 0.
        runtime.withScratch([["f32", outer * inner]], (rest) => {
          reduceInPasses(runtime, {
            name: "residual",
            x,
            outer,
            axis,
            inner,
            out: rest,
            operands: { mean: read(mean) },
            parameters: { divisor: f32(axis) },
            reduction: additions,
            map: "v - load_mean(o)",
            finish: "total / p.divisor",
          });
          mapFloats(
            runtime,
            "addTo",
            { ...mean, length: outer * inner },
            { a: read(mean), b: read(rest) },
            "a + b",
          );
        });
        const divisor = Math.max(axis - correction, 0);
        reduceInPasses(runtime, {
          name: "variance",
          x,
          outer,
          axis,
          inner,
          out,
          operands: { mean: read(mean) },
          parameters: { divisor: f32(divisor) },
          reduction: additions,
          map: "(v - load_mean(o)) * (v - load_mean(o))",
          finish: "total / p.divisor",
        });
      });
    },

    // Products of what stands before and behind an element: dx holds the former, and is multiplied by the latter on the way back.
    productGradient(x, dOut, outer, axis, inner, dx) {
      runtime.issue({
        name: "productGradient",
        operands: { x: read(x), d: read(dOut), dx: write(dx) },
        parameters: { lines: u32(outer * inner), axis: u32(axis), inner: u32(inner) },
        groups: Math.ceil((outer * inner) / 64),
        lanes: 64,
        body: () => `
fn run(group: u32, lane: u32) {
  let o = group * LANES + lane;
  if (o >= p.lines) { return; }
  let start = (o / p.inner) * p.axis * p.inner + o % p.inner;
  var product = load_d(o);
  for (var k = 0u; k < p.axis; k++) {
    store_dx(start + k * p.inner, product);
    product = product * load_x(start + k * p.inner);
  }
  product = 1.0;
  for (var k = p.axis; k > 0u; k--) {
    let at = start + (k - 1u) * p.inner;
    store_dx(at, load_dx(at) * product);
    product = product * load_x(at);
  }
}`,
      });
    },

    // Largest key first, then the lowest index; NaN has the smallest key of all.
    argReduce(operator, x, outer, axis, inner, out) {
      const key = operator === "max" ? "order_of(v)" : "order_of(-v)";
      runtime.issue({
        name: `argReduce:${operator}`,
        operands: { x: read(x), out: write(out) },
        parameters: { axis: u32(axis), inner: u32(inner) },
        groups: outer * inner,
        lanes: axis > 2048 ? 256 : 64,
        body: () => `
fn key_of(v: f32) -> u32 {
  if (is_nan(v)) { return order_of(-infinity()); }
  return ${key};
}
fn run(group: u32, lane: u32) {
  let start = (group / p.inner) * p.axis * p.inner + group % p.inner;
  var best = 0u;
  var at = 0xffffffffu;
  for (var k = lane; k < p.axis; k += LANES) {
    let key = key_of(load_x(start + k * p.inner));
    if (at == 0xffffffffu || key > best) {
      best = key;
      at = k;
    }
  }
  let largest = group_most(lane, best);
  let first = group_least(lane, select(0xffffffffu, at, best == largest));
  if (lane == 0u) { store_out(group, i32(first)); }
}`,
      });
    },

    reduceMask(operator, x, outer, axis, inner, out) {
      runtime.withScratch([["i32", outer * inner]], (counts) => {
        runtime.issue({
          name: "countMask",
          operands: { x: read(x), out: write(counts) },
          parameters: { axis: u32(axis), inner: u32(inner) },
          groups: outer * inner,
          lanes: axis > 2048 ? 256 : 64,
          body: () => `
fn run(group: u32, lane: u32) {
  let start = (group / p.inner) * p.axis * p.inner + group % p.inner;
  var found = 0u;
  for (var k = lane; k < p.axis; k += LANES) { found += u32(load_x(start + k * p.inner) != 0u); }
  let sum = group_count(lane, found);
  if (lane == 0u) { store_out(group, i32(sum)); }
}`,
        });
        produce(runtime, {
          name: `reduceMask:${operator}`,
          out: { ...out, length: outer * inner },
          operands: { counts: read(counts) },
          parameters: { axis: u32(axis) },
          element: () =>
            `fn element(i: u32) -> u32 { return u32(u32(load_counts(i)) ${operator === "any" ? "> 0u" : "== p.axis"}); }`,
        });
      });
    },
  };
}
