import type { MatmulPlan, Slice } from "@latentkit/tensor";
import { factorAt } from "./factor.ts";
import { finishText } from "./finish.ts";
import type { TiledPlan } from "./plan.ts";

/** The factors of a product and what is asked of it. */
export interface TiledText {
  readonly a: Slice;
  readonly b: Slice;
  readonly plan: MatmulPlan;
}

const list = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join("\n");

/**
 * Text of a tiled product. Both factors' tiles go through workgroup memory in vectors of 4, along rows of a and along columns of b, with
 * the inner index outside: an invocation loads r + c numbers by (r + c) / 4 instructions for its block of r x c sums. The inner size
 * is summed in order, in f32; products of halves are exact in f32.
 *
 * Blocks of 4 x 4 of one invocation lie apart by all invocations' blocks, so that neighbours read neighbouring vectors.
 */
export function tiledText(tile: TiledPlan, { a, b, plan }: TiledText): string {
  const { rows, columns, depth, rowsEach, columnsEach, splits, factors } = tile;
  const [across, down] = [columns / columnsEach, rows / rowsEach];
  const [rowQuads, columnQuads] = [rowsEach / 4, columnsEach / 4];
  const vector = factors === "f16" ? "vec4<f16>" : "vec4f";
  const wide = (text: string): string => (factors === "f16" ? `vec4f(${text})` : text);
  const sums = (text: (i: number, q: number) => string): string =>
    list(rowsEach, (i) => list(columnQuads, (q) => text(i, q)));
  const finish = (i: number, q: number): string => `  {
    let r = row + (y + ${Math.floor(i / 4) * down}u) * 4u + ${i % 4}u;
    let c = column + (x + ${q * across}u) * 4u;
    if (r < p.m) {
      let at = out_batch + r * ${splits > 1 ? "p.n" : "p.rowStrideOut"} + c;
${list(4, (e) => `      if (c + ${e}u < p.n) { ${splits > 1 ? `store_out(at + ${e}u, sum_${i}_${q}[${e}])` : `finish(at + ${e}u, c + ${e}u, sum_${i}_${q}[${e}])`}; }`)}
    }
  }`;
  return `${splits > 1 ? "" : finishText(plan.epilogue)}
var<workgroup> tile_a: array<${vector}, ${(rows / 4) * depth}>;
var<workgroup> tile_b: array<${vector}, ${(columns / 4) * depth}>;
fn run(group: u32, lane: u32) {
  let tiles = p.rowTiles * p.columnTiles;
  let entry = (group / tiles) % p.batch;
  let part = group / (tiles * p.batch);
  let row = ((group / p.columnTiles) % p.rowTiles) * ${rows}u;
  let column = (group % p.columnTiles) * ${columns}u;
  let a_batch = entry * p.batchStrideA;
  let b_batch = entry * p.batchStrideB;
  let out_batch = ${splits > 1 ? "(part * p.batch + entry) * p.m * p.n" : "entry * p.batchStrideOut"};
  let first = part * p.partSize;
  let end = min(p.k, first + p.partSize);
  let x = lane % ${across}u;
  let y = lane / ${across}u;
${sums((i, q) => `  var sum_${i}_${q} = vec4f(0.0);`)}
  for (var start = first; start < end; start += ${depth}u) {
    ${loadTile("a", a, rows, depth, plan.transposeA, factors)}
    ${loadTile("b", b, columns, depth, plan.transposeB, factors)}
    workgroupBarrier();
    for (var inner = 0u; inner < opaque(${depth}u); inner++) {
${list(rowQuads, (i) => `      let a_${i} = ${wide(`tile_a[inner * ${rows / 4}u + y + ${i * down}u]`)};`)}
${list(columnQuads, (q) => `      let b_${q} = ${wide(`tile_b[inner * ${columns / 4}u + x + ${q * across}u]`)};`)}
${sums((i, q) => `      sum_${i}_${q} += a_${Math.floor(i / 4)}[${i % 4}] * b_${q};`)}
    }
    workgroupBarrier();
  }
${sums(finish)}
}`;
}

/** Loads a tile so that neighbouring invocations read neighbours in memory; each makes vectors of 4 along the outer axis. */
function loadTile(
  name: "a" | "b",
  slice: Slice,
  wide: number,
  depth: number,
  transposed: boolean,
  factors: "f16" | "f32",
): string {
  const isA = name === "a";
  // Whether memory is contiguous along the inner axis.
  const innerFirst = isA ? !transposed : transposed;
  const [size, start] = isA ? ["p.m", "row"] : ["p.n", "column"];
  const quads = wide / 4;
  const split = innerFirst
    ? `let inside = e % ${depth}u;
      let quad = e / ${depth}u;`
    : `let quad = e % ${quads}u;
      let inside = e / ${quads}u;`;
  const element = (outer: string): string =>
    factorAt(name, slice, transposed, isA ? [outer, "inner"] : ["inner", outer]);
  return `for (var e = lane; e < ${quads * depth}u; e += LANES) {
      ${split}
      let outer = ${start} + quad * 4u;
      let inner = start + inside;
      var value = vec4f(0.0);
      if (inner < end) {
${list(4, (i) => `        if (outer + ${i}u < ${size}) { value[${i}] = ${element(`outer + ${i}u`)}; }`)}
      }
      tile_${name}[inside * ${quads}u + quad] = ${factors === "f16" ? "vec4<f16>(value)" : "value"};
    }`;
}
