import { sameShape } from "@latentkit/core";
import { add, matmul, mul, sub, Tensor } from "@latentkit/tensor";
import { atPositions, type EditPositions } from "./edit-positions.ts";
import { checkWidth, type FeatureVectors, featureVector, strengths } from "./feature-vector.ts";
import type { EditFunction } from "./hook-run.ts";
import { orthonormalBasis } from "./orthonormal-basis.ts";

/**
 * Puts `replacement` in a value's place: a tensor of the value's shape, or a vector of the site's width for every token (for example
 * zeros, or a mean), the same for all rows or one for each.
 */
export function replaceWith(
  replacement: FeatureVectors,
  options: EditPositions = {},
): EditFunction {
  return (value, context) => {
    if (replacement instanceof Tensor && sameShape(replacement.shape, value.shape)) {
      return atPositions(value, replacement, options, context);
    }
    const vector = featureVector(replacement, value, context);
    return atPositions(value, add(value.device.zeros(value.shape), vector), options, context);
  };
}

/**
 * Adds `scale * vector` to every token's features (steering). Vector and scale are the same for all rows, or one for each.
 */
export function addVector(
  vector: FeatureVectors,
  options: EditPositions & { readonly scale?: number | readonly number[] | undefined } = {},
): EditFunction {
  const { scale = 1 } = options;
  return (value, context) => {
    const added = featureVector(vector, value, context);
    const scaled = scale === 1 ? added : mul(added, strengths(scale, value, context));
    return atPositions(value, add(value, scaled), options, context);
  };
}

/** Multiplies the value by a number, the same for all rows or one for each; 0 is zero ablation. */
export function scaleBy(
  factor: number | readonly number[],
  options: EditPositions = {},
): EditFunction {
  return (value, context) =>
    atPositions(value, mul(value, strengths(factor, value, context)), options, context);
}

/**
 * Removes what lies in the span of `directions` from every token's features: `x - (x B^T) B` with B an orthonormal basis of it.
 *
 * @param directions vectors of the site's width; they need be neither normalised nor orthogonal
 * @throws ConfigError `EDIT_DIRECTIONS` at once if there are none, one is zero or not finite, or their lengths differ
 */
export function projectOut(
  directions: readonly (Float32Array | readonly number[])[],
  options: EditPositions = {},
): EditFunction {
  const basis = orthonormalBasis("projectOut", directions);
  const width = directions[0]?.length ?? 0;
  const rank = basis.length / width;
  return (value, context) => {
    checkWidth(width, value, context);
    const { device, shape } = value;
    const rows = device.tensor(basis, [rank, width]);
    const flat = value.reshape([value.size / width, width]);
    const inside = matmul(matmul(flat, rows, { transposeB: true }), rows);
    return atPositions(value, sub(flat, inside).reshape(shape), options, context);
  };
}
