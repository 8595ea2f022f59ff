import type { Features } from "../../features.ts";
import {
  candidatesOf,
  type GemmPlan,
  type GemmShape,
  lanesOf,
  nameOfPlan,
  type TiledPlan,
} from "./plan.ts";

/** Where kernels have their plans from. */
export interface PlanSource {
  planFor(shape: GemmShape): GemmPlan;
}

/** Processors of a GPU, and invocations that each needs to hide how long memory takes: WebGPU tells neither. */
const gpu = { processors: 64, lanes: 256 };
/** A processor in place of a GPU runs a workgroup's invocations one after another: it wants a few workgroups and nothing hidden. */
const software = { processors: 8, lanes: 1 };

/**
 * The plan of least cost, the first of equals. Without measurements it depends on shape and features alone:
 *
 * `cost = M N K (1 + 2 (r + c) / (r c) + 8 (R + C) / (R C)) / min(1, lanes / lanes wanted) + 8 splits m n`
 *
 * with M, N and K rounded up to whole tiles of R x C, `r x c` the block of an invocation, which loads r + c factors from workgroup memory
 * for r c products, R + C the factors that a tile loads from memory for R C products, and lanes those of all workgroups together. The
 * last term is the writing and reading of sums where the inner size is split. A processor in place of a GPU has no registers for
 * blocks of more than 4 x 4, and takes seconds to compile them.
 */
export function choosePlan(shape: GemmShape, features: Features): GemmPlan {
  let best: GemmPlan = { kind: "few-rows" };
  let least = Number.POSITIVE_INFINITY;
  for (const plan of candidatesOf(shape, features)) {
    const cost = costOf(plan, shape, features);
    if (!(cost < least)) continue;
    best = plan;
    least = cost;
  }
  return best;
}

/** In products of two numbers at full speed; for comparison only. */
export function costOf(plan: GemmPlan, shape: GemmShape, features: Features): number {
  const { batch, m, n, k } = shape;
  // Few rows are bound by the reading of b, whatever the tile: reading it once and without padding is never slower.
  if (plan.kind === "few-rows") return 0;
  // Where there are matrix units and enough rows to fill them they are an order of magnitude ahead.
  if (plan.kind === "units")
    return m < 32 || n < 32 ? Number.POSITIVE_INFINITY : (batch * m * n * k) / 8;
  const { rows, columns, depth, rowsEach, columnsEach, splits } = plan;
  const groups = groupsOf(plan, shape);
  const inner = Math.ceil(Math.ceil(k / splits) / depth) * depth;
  if (features.software && rowsEach * columnsEach > 16) return Number.POSITIVE_INFINITY;
  const loads =
    1 +
    (2 * (rowsEach + columnsEach)) / (rowsEach * columnsEach) +
    (8 * (rows + columns)) / (rows * columns);
  const wanted = features.software ? software : gpu;
  const filled = Math.min(
    1,
    (groups * Math.min(lanesOf(plan), wanted.lanes)) / (wanted.processors * wanted.lanes),
  );
  const joining = splits > 1 ? 8 * splits * batch * m * n : 0;
  return (groups * rows * columns * inner * loads) / filled + joining;
}

/** Workgroups of a tiled product. */
export function groupsOf(
  plan: TiledPlan,
  { batch, m, n }: Pick<GemmShape, "batch" | "m" | "n">,
): number {
  return plan.splits * batch * Math.ceil(m / plan.rows) * Math.ceil(n / plan.columns);
}

/**
 * Shapes that share a measured plan: each size by its power of two (1, 2, 3 to 4, 5 to 8, ...), transpositions, and whether factors may
 * be halves. Such as `nt:b1:m1024:n4096:k512:f32`.
 */
export function shapeClass({ batch, m, n, k, transposeA, transposeB, halves }: GemmShape): string {
  const size = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, value)));
  const sides = `${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}`;
  return `${sides}:b${size(batch)}:m${size(m)}:n${size(n)}:k${size(k)}:${halves ? "f16" : "f32"}`;
}

/** Plans by the rule, or those that were measured. */
export class Plans implements PlanSource {
  readonly #features: Features;
  /** Names of plans by shape class. */
  readonly #measured: Map<string, string>;

  constructor(features: Features, measured: Readonly<Record<string, string>> = {}) {
    this.#features = features;
    this.#measured = new Map(Object.entries(measured));
  }

  /** The measured plan of the shape's class where this shape and device allow it, else the rule's. */
  planFor(shape: GemmShape): GemmPlan {
    return this.measuredFor(shape) ?? choosePlan(shape, this.#features);
  }

  /** The measured plan of the shape's class, null where there is none or this shape and device do not allow it. */
  measuredFor(shape: GemmShape): GemmPlan | null {
    const name = this.#measured.size === 0 ? undefined : this.#measured.get(shapeClass(shape));
    if (name === undefined) return null;
    return candidatesOf(shape, this.#features).find((plan) => nameOfPlan(plan) === name) ?? null;
  }

  /** From now on the plan of all shapes of this class. */
  remember(shape: GemmShape, plan: GemmPlan): void {
    this.#measured.set(shapeClass(shape), nameOfPlan(plan));
  }
}
