import { formatShape } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import type { RopePlan } from "../backend.ts";
import { floats, integers, requireRank, requireValue, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** Options of {@link rope}. */
export interface RopeOptions {
  /** Leading features of each head that are rotated, even; the others stay. All of them by default. GPT-NeoX rotates a quarter. */
  readonly dRotary?: number | undefined;
  /** Pairs of neighbours (2i, 2i + 1) as GPT-J has them, instead of (i, i + dRotary/2) as Hugging Face's `rotate_half`. */
  readonly interleaved?: boolean | undefined;
}

/**
 * Rotary position embedding (Su et al., 2021, arXiv 2104.09864), in a new tensor: each pair (a, b) of rotated features becomes
 * `(a cos - b sin, b cos + a sin)`.
 *
 * Keeps the tables and the positions for its gradient, which is the transposed rotation; the tables themselves have none.
 *
 * @param x f32 [batch, position, heads, dHead]
 * @param cos and `sin`: f32 [positions, dRotary/2], from `ropeTables`
 * @param positions i32 with batch * position elements: each token's row in the tables. Not checked, since not read back: a row
 * that the tables do not have gives NaN.
 * @returns f32 of x's shape
 * @throws ShapeError `SHAPE_MISMATCH` for tables or positions that do not fit; ConfigError `VALUE_RANGE` for an odd `dRotary`
 * or one beyond dHead
 */
export function rope(
  x: Tensor,
  cos: Tensor,
  sin: Tensor,
  positions: Tensor,
  options: RopeOptions = {},
): Tensor {
  const plan = ropePlan(x, cos, sin, positions, options);
  return differentiable(rotated(x, cos, sin, positions, plan), {
    operator: "rope",
    inputs: [x],
    saved: [cos, sin, positions],
    rule: (gradient, { saved: [keptCos, keptSin, keptPositions] }) =>
      keptCos === undefined || keptSin === undefined || keptPositions === undefined
        ? []
        : [rotated(gradient, keptCos, keptSin, keptPositions, { ...plan, transposed: true })],
  });
}

function rotated(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, plan: RopePlan): Tensor {
  const out = x.device.empty(x.shape);
  if (out.size > 0)
    x.device.backend.kernels.rope(x.slice, cos.slice, sin.slice, positions.slice, plan, out.slice);
  return out;
}

function ropePlan(
  x: Tensor,
  cos: Tensor,
  sin: Tensor,
  positions: Tensor,
  { dRotary, interleaved = false }: RopeOptions,
): RopePlan {
  floats("rope", x);
  floats("rope", cos, "cos");
  floats("rope", sin, "sin");
  integers("rope", positions, "positions");
  for (const other of [cos, sin, positions]) sameDevice("rope", x, other);
  requireRank("rope", "x", x.shape, 4, "[batch, position, heads, dHead]");
  const [batch = 0, length = 0, heads = 0, dHead = 0] = x.shape;
  if (dRotary !== undefined)
    requireValue(
      Number.isInteger(dRotary) && dRotary >= 2 && dRotary % 2 === 0 && dRotary <= dHead,
      "rope",
      "dRotary",
      dRotary,
      `an even integer from 2 to dHead (${dHead})`,
    );
  const rotary = dRotary ?? dHead;
  const half = rotary / 2;
  const tablesFit =
    cos.shape.length === 2 &&
    cos.shape[1] === half &&
    sin.shape.length === 2 &&
    sin.shape[1] === half &&
    cos.shape[0] === sin.shape[0];
  if (!tablesFit) {
    throw shapeError(
      "rope",
      `x of shape ${formatShape(x.shape)}, cos of shape ${formatShape(cos.shape)} and sin of shape ${formatShape(sin.shape)}`,
      dRotary === undefined
        ? "give cos and sin of shape [positions, dHead / 2], with dHead even, or say dRotary"
        : `give cos and sin of shape [positions, ${half}], half of dRotary`,
    );
  }
  if (positions.size !== batch * length) {
    throw shapeError(
      "rope",
      `x of shape ${formatShape(x.shape)} and positions of shape ${formatShape(positions.shape)}`,
      `give ${batch * length} positions`,
    );
  }
  return {
    tokens: batch * length,
    heads,
    dHead,
    dRotary: rotary,
    positions: cos.shape[0] ?? 0,
    interleaved,
    transposed: false,
  };
}
