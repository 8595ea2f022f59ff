import type { MatmulPlan, Slice } from "@latentkit/tensor";
import { factorAt } from "./factor.ts";
import { finishText } from "./finish.ts";

/** Columns of a workgroup where b is [k, n], and the parts in which its invocations take the inner size. */
const columnsTogether = 32;
const parts = 8;

const list = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join("\n");

/** Workgroups and invocations of {@link fewRowsText}. */
export function fewRowsGroups({ batch, n, transposeB }: MatmulPlan): {
  readonly groups: number;
  readonly lanes: number;
} {
  return transposeB
    ? { groups: batch * n, lanes: 64 }
    : { groups: batch * Math.ceil(n / columnsTogether), lanes: columnsTogether * parts };
}

/**
 * Text of up to 4 rows times a matrix, which is read once. Where b is [n, k] a workgroup takes a column of the output, its invocations
 * side by side along k; where b is [k, n] it takes 32 columns, and its invocations are side by side along n, in 8 parts of k.
 */
export function fewRowsText(a: Slice, b: Slice, plan: MatmulPlan): string {
  const { m, transposeA, transposeB, epilogue } = plan;
  const term = (row: number, column: string): string =>
    `sum_${row} += ${factorAt("a", a, transposeA, [`${row}u`, "c"])} * ${column};`;
  const starts = `let a_batch = entry * p.batchStrideA;
  let b_batch = entry * p.batchStrideB;
  let out_batch = entry * p.batchStrideOut;
${list(m, (row) => `  var sum_${row} = 0.0;`)}`;
  if (transposeB)
    return `${finishText(epilogue)}
fn run(group: u32, lane: u32) {
  let entry = group / p.n;
  let column = group % p.n;
  ${starts}
  for (var c = lane; c < p.k; c += LANES) {
    let w = ${factorAt("b", b, true, ["c", "column"])};
${list(m, (row) => `    ${term(row, "w")}`)}
  }
${list(m, (row) => `  let total_${row} = group_sum${row === 0 ? "" : `_${row + 1}`}(lane, sum_${row});`)}
  if (lane == 0u) {
${list(m, (row) => `    finish(out_batch + ${row}u * p.rowStrideOut + column, column, total_${row});`)}
  }
}`;
  return `${finishText(epilogue)}
var<workgroup> sums: array<f32, ${m}u * LANES>;
fn run(group: u32, lane: u32) {
  let together = (p.n + ${columnsTogether - 1}u) / ${columnsTogether}u;
  let entry = group / together;
  let column = (group % together) * ${columnsTogether}u + lane % ${columnsTogether}u;
  ${starts}
  if (column < p.n) {
    for (var c = lane / ${columnsTogether}u; c < p.k; c += ${parts}u) {
      let w = ${factorAt("b", b, false, ["c", "column"])};
${list(m, (row) => `      ${term(row, "w")}`)}
    }
  }
${list(m, (row) => `  sums[${row}u * LANES + lane] = sum_${row};`)}
  workgroupBarrier();
  let row = lane / ${columnsTogether}u;
  if (row >= ${m}u || column >= p.n) { return; }
  var total = 0.0;
  for (var part = 0u; part < opaque(${parts}u); part++) {
    total += sums[row * LANES + part * ${columnsTogether}u + lane % ${columnsTogether}u];
  }
  finish(out_batch + row * p.rowStrideOut + column, column, total);
}`;
}
