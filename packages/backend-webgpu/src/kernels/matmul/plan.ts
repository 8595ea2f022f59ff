import type { MatmulPlan } from "@latentkit/tensor";
import type { Features } from "../../features.ts";

/** What a plan is chosen by. */
export type GemmShape = Pick<
  MatmulPlan,
  "batch" | "k" | "m" | "n" | "transposeA" | "transposeB"
> & {
  /** Whether factors may be rounded to f16; sums are f32 in any case. */
  readonly halves: boolean;
};

/** A workgroup computes a tile of the output, each invocation a block of it in registers. */
export interface TiledPlan {
  readonly kind: "tiled";
  readonly rows: number;
  readonly columns: number;
  /** How much of the inner size is in workgroup memory at a time. */
  readonly depth: number;
  /** Rows and columns of one invocation's block, multiples of 4. */
  readonly rowsEach: number;
  readonly columnsEach: number;
  /** Parts of the inner size that workgroups of their own sum; the parts' sums are added in order. */
  readonly splits: number;
  /** In what factors lie in workgroup memory. */
  readonly factors: "f16" | "f32";
}

/** Up to 4 rows of `a`: bound by the reading of `b`, which happens once; no tiles. */
export interface FewRowsPlan {
  readonly kind: "few-rows";
}

/** Tiles whose products are subgroup matrices', see `matrix-units.ts`. */
export interface UnitsPlan {
  readonly kind: "units";
}

/** How a product of matrices is computed. */
export type GemmPlan = FewRowsPlan | TiledPlan | UnitsPlan;

/** Rows that {@link FewRowsPlan} takes at most. */
export const mostFewRows = 4;

/** Rows, columns, depth, and the block of one invocation. */
const tiles: readonly (readonly [number, number, number, number, number])[] = [
  [16, 64, 16, 4, 4],
  [32, 32, 16, 4, 4],
  [64, 64, 16, 4, 4],
  [64, 64, 16, 8, 8],
  [128, 64, 16, 8, 4],
  [128, 128, 16, 8, 8],
];

/** Parts of the inner size are no shorter than this. */
const leastOfSplit = 256;
/** Elements of all parts' sums together. */
const mostOfSplits = 1 << 24;

/** Invocations of a workgroup. */
export function lanesOf({ rows, columns, rowsEach, columnsEach }: TiledPlan): number {
  return (rows / rowsEach) * (columns / columnsEach);
}

/** A plan's name, by which programs and stores know it, such as `tiled:64x64x16:4x4:1:f32`. */
export function nameOfPlan(plan: GemmPlan): string {
  if (plan.kind !== "tiled") return plan.kind;
  const { rows, columns, depth, rowsEach, columnsEach, splits, factors } = plan;
  return `tiled:${rows}x${columns}x${depth}:${rowsEach}x${columnsEach}:${splits}:${factors}`;
}

/** All plans by which a device can compute a product, in an order that depends on shape and features alone. */
export function candidatesOf(shape: GemmShape, features: Features): GemmPlan[] {
  const { batch, m, n, k, halves } = shape;
  const found: GemmPlan[] = [];
  if (m <= mostFewRows) found.push({ kind: "few-rows" });
  const factors = halves && features.f16 ? "f16" : "f32";
  const width = factors === "f16" ? 2 : 4;
  for (const splits of [1, 4, 16]) {
    if (splits > 1 && (k < splits * leastOfSplit || batch * m * n * splits > mostOfSplits))
      continue;
    for (const [rows, columns, depth, rowsEach, columnsEach] of tiles) {
      const plan: TiledPlan = {
        kind: "tiled",
        rows,
        columns,
        depth,
        rowsEach,
        columnsEach,
        splits,
        factors,
      };
      if ((rows + columns) * depth * width > features.workgroupBytes) continue;
      if (lanesOf(plan) > features.invocations) continue;
      found.push(plan);
    }
  }
  if (factors === "f16" && features.matrixUnits !== null) found.push({ kind: "units" });
  return found;
}
