import type { MatmulEpilogue, MatmulKernels, MatmulPlan, Slice } from "@latentkit/tensor";
import { read, write } from "../issue/operands.ts";
import { f32, type Runtime, u32 } from "../runtime.ts";
import { activationFunctions } from "./functions.ts";

/** Rows and columns of a workgroup's tile, and how much of the inner size is held at a time. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Rows and columns that one invocation computes in registers. */
  readonly rowsEach: number;
  readonly columnsEach: number;
}

const large: Tile = { rows: 64, columns: 64, depth: 16, rowsEach: 4, columnsEach: 4 };
const small: Tile = { rows: 16, columns: 32, depth: 16, rowsEach: 2, columnsEach: 4 };

/** The tile of a shape: small ones where large tiles would leave most of a device idle, or be mostly empty. */
export function tileOf({ batch, m, n }: Pick<MatmulPlan, "batch" | "m" | "n">): Tile {
  const tiles = batch * Math.ceil(m / large.rows) * Math.ceil(n / large.columns);
  return tiles < 32 || m <= 16 ? small : large;
}

/**
 * Matrix products. A workgroup computes a tile of the output: both factors' tiles go through workgroup memory, and each invocation
 * keeps a block of sums in registers. The inner size is summed in order, in f32.
 *
 * Traffic: a is read ceil(n / tile columns) times and b ceil(m / tile rows) times; the output is written once, and read once where
 * beta is not 0. Bias and activation are applied in registers.
 */
export function matmulKernels(runtime: Runtime): MatmulKernels {
  return {
    matmul: (a, b, out, plan) => issueMatmul(runtime, a, b, out, plan),
  };
}

/** Issues a product; for other families as well. */
export function issueMatmul(
  runtime: Runtime,
  a: Slice,
  b: Slice,
  out: Slice,
  plan: MatmulPlan,
): void {
  const { batch, m, n, k, transposeA, transposeB, epilogue } = plan;
  const tile = tileOf(plan);
  const [rowTiles, columnTiles] = [Math.ceil(m / tile.rows), Math.ceil(n / tile.columns)];
  const bias = epilogue?.bias ?? null;
  runtime.issue({
    name: `matmul:${tile.rows}x${tile.columns}:${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}:${epilogue?.activation ?? ""}`,
    operands: { a: read(a), b: read(b), bias: bias === null ? null : read(bias), out: write(out) },
    parameters: {
      m: u32(m),
      n: u32(n),
      k: u32(k),
      rowTiles: u32(rowTiles),
      columnTiles: u32(columnTiles),
      rowStrideA: u32(plan.rowStrideA),
      rowStrideB: u32(plan.rowStrideB),
      rowStrideOut: u32(plan.rowStrideOut),
      batchStrideA: u32(plan.batchStrideA),
      batchStrideB: u32(plan.batchStrideB),
      batchStrideOut: u32(plan.batchStrideOut),
      alpha: f32(plan.alpha),
      beta: f32(plan.beta),
    },
    groups: batch * rowTiles * columnTiles,
    lanes: (tile.rows / tile.rowsEach) * (tile.columns / tile.columnsEach),
    body: () => matmulText(tile, plan, epilogue),
  });
}

/** Loads a tile of `rows x depth` (a) or `depth x columns` (b) so that neighbouring invocations read neighbours in memory. */
function loadTile(name: "a" | "b", wide: number, depth: number, transposed: boolean): string {
  const isA = name === "a";
  // The axis along which memory is contiguous.
  const innerFirst = isA ? !transposed : transposed;
  const outerSize = isA ? "p.m" : "p.n";
  const outerStart = isA ? "row" : "column";
  const stride = isA ? "p.rowStrideA" : "p.rowStrideB";
  const element = innerFirst
    ? `${name}_batch + outer * ${stride} + inner`
    : `${name}_batch + inner * ${stride} + outer`;
  const split = innerFirst
    ? `let inside = e % ${depth}u;
      let beside = e / ${depth}u;`
    : `let beside = e % ${wide}u;
      let inside = e / ${wide}u;`;
  return `for (var e = lane; e < ${wide * depth}u; e += LANES) {
      ${split}
      let outer = ${outerStart} + beside;
      let inner = start + inside;
      var value = 0.0;
      if (outer < ${outerSize} && inner < p.k) { value = load_${name}(${element}); }
      tile_${name}[inside * ${wide}u + beside] = value;
    }`;
}

function matmulText(tile: Tile, plan: MatmulPlan, epilogue: MatmulEpilogue | undefined): string {
  const { rows, columns, depth, rowsEach, columnsEach } = tile;
  const across = columns / columnsEach;
  const down = rows / rowsEach;
  const each = (text: (i: number, j: number) => string): string =>
    Array.from({ length: rowsEach * columnsEach }, (_, index) =>
      text(Math.floor(index / columnsEach), index % columnsEach),
    ).join("\n");
  const activation = epilogue?.activation ?? null;
  // Elements of an invocation lie `down` rows and `across` columns apart: neighbours write neighbours.
  const finish = (i: number, j: number): string => `{
    let r = row + y + ${i * down}u;
    let c = column + x + ${j * across}u;
    if (r < p.m && c < p.n) {
      let at = out_batch + r * p.rowStrideOut + c;
      var value = p.alpha * sum_${i}_${j};
      if (p.beta != 0.0) { value += p.beta * load_out(at); }
      ${epilogue?.bias ? "value += load_bias(c);" : ""}
      store_out(at, ${activation === null ? "value" : `${activationFunctions[activation]}(value)`});
    }
  }`;
  return `
var<workgroup> tile_a: array<f32, ${rows * depth}>;
var<workgroup> tile_b: array<f32, ${columns * depth}>;
fn run(group: u32, lane: u32) {
  let entry = group / (p.rowTiles * p.columnTiles);
  let row = ((group / p.columnTiles) % p.rowTiles) * ${rows}u;
  let column = (group % p.columnTiles) * ${columns}u;
  let a_batch = entry * p.batchStrideA;
  let b_batch = entry * p.batchStrideB;
  let out_batch = entry * p.batchStrideOut;
  let x = lane % ${across}u;
  let y = lane / ${across}u;
${each((i, j) => `  var sum_${i}_${j} = 0.0;`)}
  for (var start = 0u; start < p.k; start += ${depth}u) {
    ${loadTile("a", rows, depth, plan.transposeA)}
    ${loadTile("b", columns, depth, plan.transposeB)}
    workgroupBarrier();
    for (var inner = 0u; inner < opaque(${depth}u); inner++) {
${Array.from({ length: rowsEach }, (_, i) => `      let a_${i} = tile_a[inner * ${rows}u + y + ${i * down}u];`).join("\n")}
${Array.from({ length: columnsEach }, (_, j) => `      let b_${j} = tile_b[inner * ${columns}u + x + ${j * across}u];`).join("\n")}
${each((i, j) => `      sum_${i}_${j} += a_${i} * b_${j};`)}
    }
    workgroupBarrier();
  }
${each(finish)}
}`;
}
