import type { MatmulPlan, Slice } from "@latentkit/tensor";
import type { MatrixUnits } from "../../features.ts";
import { factorAt } from "./factor.ts";
import { finishText } from "./finish.ts";

/** Output of a workgroup, of each of its 2 x 2 subgroups, and how much of the inner size is in workgroup memory. */
export const unitsTile = { side: 64, each: 32, depth: 32, subgroups: 4 } as const;

/**
 * Text of a product by matrix units: a workgroup of 4 subgroups computes 64 x 64 sums. Factors are rounded to f16 on their way into
 * workgroup memory; each subgroup multiplies fragments of them, as large as the units take, into f32 sums. The sums leave through
 * workgroup memory a fragment at a time, since where a fragment's elements lie is not said.
 *
 * Invocations are taken to be dealt to subgroups in order, as all drivers with matrix units do.
 */
export function unitsText(units: MatrixUnits, a: Slice, b: Slice, plan: MatmulPlan): string {
  const { side, each, depth, subgroups } = unitsTile;
  const { m, n, k, subgroup } = units;
  const [down, across] = [each / m, each / n];
  const fragments = (text: (i: number, j: number) => string): string =>
    Array.from({ length: down * across }, (_, index) =>
      text(Math.floor(index / across), index % across),
    ).join("\n");
  const list = (count: number, text: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => text(index)).join("\n");
  const left = `subgroup_matrix_left<f16, ${k}, ${m}>`;
  const right = `subgroup_matrix_right<f16, ${n}, ${k}>`;
  const result = `subgroup_matrix_result<f32, ${n}, ${m}>`;
  // The tile of a by rows, that of b by rows of its inner index: both are filled along what is contiguous in memory.
  const fill = (name: "a" | "b", slice: Slice, transposed: boolean): string => {
    const isA = name === "a";
    const [wide, high] = isA ? [depth, side] : [side, depth];
    const byRows = !transposed;
    const value = factorAt(name, slice, transposed, isA ? ["outer", "inner"] : ["inner", "outer"]);
    return `for (var e = lane; e < ${side * depth}u; e += LANES) {
      let s = ${byRows ? `e / ${wide}u` : `e % ${high}u`};
      let t = ${byRows ? `e % ${wide}u` : `e / ${high}u`};
      let outer = ${isA ? "row + s" : "column + t"};
      let inner = start + ${isA ? "t" : "s"};
      var value = 0.0;
      if (outer < ${isA ? "p.m" : "p.n"} && inner < p.k) { value = ${value}; }
      tile_${name}[s * ${wide}u + t] = f16(value);
    }`;
  };
  return `${finishText(plan.epilogue)}
var<workgroup> tile_a: array<f16, ${side * depth}>;
var<workgroup> tile_b: array<f16, ${side * depth}>;
var<workgroup> fragment: array<f32, ${subgroups * m * n}>;
fn run(group: u32, lane: u32) {
  let entry = group / (p.rowTiles * p.columnTiles);
  let row = ((group / p.columnTiles) % p.rowTiles) * ${side}u;
  let column = (group % p.columnTiles) * ${side}u;
  let a_batch = entry * p.batchStrideA;
  let b_batch = entry * p.batchStrideB;
  let out_batch = entry * p.batchStrideOut;
  let own = lane / ${subgroup}u;
  let place = lane % ${subgroup}u;
  let rowIn = (own / 2u) * ${each}u;
  let columnIn = (own % 2u) * ${each}u;
${fragments((i, j) => `  var sum_${i}_${j}: ${result};`)}
  for (var start = 0u; start < p.k; start += ${depth}u) {
    ${fill("a", a, plan.transposeA)}
    ${fill("b", b, plan.transposeB)}
    workgroupBarrier();
    for (var inner = 0u; inner < ${depth}u; inner += ${k}u) {
${list(down, (i) => `      let a_${i} = subgroupMatrixLoad<${left}>(&tile_a, (rowIn + ${i * m}u) * ${depth}u + inner, false, ${depth}u);`)}
${list(across, (j) => `      let b_${j} = subgroupMatrixLoad<${right}>(&tile_b, inner * ${side}u + columnIn + ${j * n}u, false, ${side}u);`)}
${fragments((i, j) => `      sum_${i}_${j} = subgroupMatrixMultiplyAccumulate(a_${i}, b_${j}, sum_${i}_${j});`)}
    }
    workgroupBarrier();
  }
${fragments(
  (i, j) => `  subgroupMatrixStore(&fragment, own * ${m * n}u, sum_${i}_${j}, false, ${n}u);
  workgroupBarrier();
  for (var e = place; e < ${m * n}u; e += ${subgroup}u) {
    let r = row + rowIn + ${i * m}u + e / ${n}u;
    let c = column + columnIn + ${j * n}u + e % ${n}u;
    if (r < p.m && c < p.n) { finish(out_batch + r * p.rowStrideOut + c, c, fragment[own * ${m * n}u + e]); }
  }
  workgroupBarrier();`,
)}
}`;
}
