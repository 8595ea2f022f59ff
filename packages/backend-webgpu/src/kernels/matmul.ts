import type { MatmulKernels, MatmulPlan, Slice } from "@latentkit/tensor";
import { type Operand, read, write } from "../issue/operands.ts";
import { f32, type Parameter, type Runtime, u32 } from "../runtime.ts";
import { groupsOf } from "./matmul/choose.ts";
import { fewRowsGroups, fewRowsText } from "./matmul/few-rows.ts";
import { biasOf, finishName, finishText } from "./matmul/finish.ts";
import { unitsText, unitsTile } from "./matmul/matrix-units.ts";
import { type GemmPlan, lanesOf, nameOfPlan, type TiledPlan } from "./matmul/plan.ts";
import { tiledText } from "./matmul/tiled.ts";

/**
 * Matrix products of f32, or of f16 factors with f32 sums. How one is computed is a plan of `matmul/plan.ts`, chosen by shape.
 *
 * Traffic: a is read ceil(n / tile columns) times and b ceil(m / tile rows) times, once where there are up to 4 rows; the output is
 * written once, and read once where beta is not 0. Bias and activation are applied in registers. Where the inner size is split, as many
 * outputs as there are parts are written and read on top.
 */
export function matmulKernels(runtime: Runtime): MatmulKernels {
  return {
    matmul: (a, b, out, plan) => issueMatmul(runtime, a, b, out, plan),
  };
}

/** Issues a product by the plan that the runtime has for its shape; for other families as well. */
export function issueMatmul(
  runtime: Runtime,
  a: Slice,
  b: Slice,
  out: Slice,
  plan: MatmulPlan,
): void {
  const halves = runtime.halves || (a.dtype === "f16" && b.dtype === "f16");
  issueMatmulBy(runtime, runtime.plans.planFor({ ...plan, halves }), a, b, out, plan);
}

/** Issues a product by a given plan, one of `candidatesOf` its shape. */
export function issueMatmulBy(
  runtime: Runtime,
  by: GemmPlan,
  a: Slice,
  b: Slice,
  out: Slice,
  plan: MatmulPlan,
): void {
  const { batch, m, n, transposeA, transposeB, epilogue } = plan;
  if (m === 0 || n === 0 || batch === 0) return;
  const work = {
    name: `matmul:${nameOfPlan(by)}:${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}:${finishName(epilogue)}`,
    operands: { a: read(a), b: read(b), bias: biasOf(epilogue), out: write(out) },
    parameters: parametersOf(plan),
  };
  if (by.kind === "few-rows") {
    runtime.issue({
      ...work,
      ...fewRowsGroups(plan),
      name: `${work.name}:${m}`,
      body: () => fewRowsText(a, b, plan),
    });
    return;
  }
  const { matrixUnits } = runtime.features;
  if (by.kind === "units") {
    if (matrixUnits === null) return;
    const [rowTiles, columnTiles] = [m, n].map((size) => Math.ceil(size / unitsTile.side)) as [
      number,
      number,
    ]; // two of two
    runtime.issue({
      ...work,
      parameters: { ...work.parameters, rowTiles: u32(rowTiles), columnTiles: u32(columnTiles) },
      groups: batch * rowTiles * columnTiles,
      lanes: unitsTile.subgroups * matrixUnits.subgroup,
      body: () => unitsText(matrixUnits, a, b, plan),
    });
    return;
  }
  if (by.splits === 1) {
    issueTiled(runtime, by, work, a, b, plan);
    return;
  }
  runtime.withScratch([["f32", by.splits * batch * m * n]], (sums) => {
    const { bias: _, ...operands } = work.operands;
    issueTiled(runtime, by, { ...work, operands: { ...operands, out: write(sums) } }, a, b, plan);
    joinParts(runtime, by.splits, sums, out, plan);
  });
}

/** What a dispatch of a tiled product has beside its tiles. */
interface TiledWork {
  readonly name: string;
  readonly operands: Readonly<Record<string, Operand | null>>;
  readonly parameters: Readonly<Record<string, Parameter>>;
}

function issueTiled(
  runtime: Runtime,
  tile: TiledPlan,
  work: TiledWork,
  a: Slice,
  b: Slice,
  plan: MatmulPlan,
): void {
  runtime.issue({
    ...work,
    parameters: {
      ...work.parameters,
      rowTiles: u32(Math.ceil(plan.m / tile.rows)),
      columnTiles: u32(Math.ceil(plan.n / tile.columns)),
      // Whole depths, so that parts have no ragged end but the last one's.
      partSize: u32(Math.ceil(plan.k / tile.splits / tile.depth) * tile.depth),
    },
    groups: groupsOf(tile, plan),
    lanes: lanesOf(tile),
    body: () => tiledText(tile, { a, b, plan }),
  });
}

/** Adds the sums of all parts in their order, and finishes the output. */
function joinParts(
  runtime: Runtime,
  splits: number,
  sums: Slice,
  out: Slice,
  plan: MatmulPlan,
): void {
  const { epilogue } = plan;
  runtime.issue({
    name: `joinParts:${finishName(epilogue)}`,
    operands: { sums: read(sums), bias: biasOf(epilogue), out: write(out) },
    parameters: { ...parametersOf(plan), splits: u32(splits) },
    groups: Math.ceil((plan.batch * plan.m * plan.n) / 256),
    body: () => `${finishText(epilogue)}
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  let size = p.batch * p.m * p.n;
  if (i >= size) { return; }
  var sum = 0.0;
  for (var part = 0u; part < p.splits; part++) { sum += load_sums(part * size + i); }
  let c = i % p.n;
  let r = (i / p.n) % p.m;
  finish((i / (p.m * p.n)) * p.batchStrideOut + r * p.rowStrideOut + c, c, sum);
}`,
  });
}

function parametersOf(plan: MatmulPlan): Readonly<Record<string, Parameter>> {
  return {
    batch: u32(plan.batch),
    m: u32(plan.m),
    n: u32(plan.n),
    k: u32(plan.k),
    rowStrideA: u32(plan.rowStrideA),
    rowStrideB: u32(plan.rowStrideB),
    rowStrideOut: u32(plan.rowStrideOut),
    batchStrideA: u32(plan.batchStrideA),
    batchStrideB: u32(plan.batchStrideB),
    batchStrideOut: u32(plan.batchStrideOut),
    alpha: f32(plan.alpha),
    beta: f32(plan.beta),
  };
}
