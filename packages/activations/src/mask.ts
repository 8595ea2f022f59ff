import { ConfigError, ShapeError } from "@latentkit/core";
import { median } from "./norms.ts";

/** Why a token is left out of training and metrics. Shards store these numbers. */
export const maskReasons = {
  /** Not masked. */
  keep: 0,
  /** Context position 0: an attention sink whatever the token is. */
  firstPosition: 1,
  /** Padding after the end of a short context. */
  padding: 2,
  /** A norm above `maximumNormRatio` times the median: a sink at another position. */
  normOutlier: 3,
} as const;

/** Which tokens are masked. There is no rule by token id: a chat's control tokens are what several studies read. */
export interface MaskPolicy {
  readonly maskFirstPosition: boolean;
  /** Norms above this many times the median are masked; null masks none by norm. */
  readonly maximumNormRatio: number | null;
}

/** Position 0, padding, and norms above ten times the median. */
export const defaultMask: MaskPolicy = { maskFirstPosition: true, maximumNormRatio: 10 };

/** What {@link computeMask} reads, one entry a row; see {@link contextGrid} for a batch `[contexts, positions]`. */
export interface MaskInput {
  /** Norm of the activation at the masked site, as {@link rowNorms} gives it. */
  readonly norms: ArrayLike<number>;
  /** Position in the context. */
  readonly positions: ArrayLike<number>;
  /** Tokens, without padding, of the context that the row belongs to. */
  readonly lengths: ArrayLike<number>;
  /** The corpus's median, from the manifest. Never the median of the rows at hand: the mask must not depend on the batch. */
  readonly medianNorm: number;
  readonly policy: MaskPolicy;
}

/**
 * The one mask of harvest, metrics and splicing: a reason of {@link maskReasons} for each row.
 *
 * Where several reasons hold, padding comes before first position, which comes before norm. A norm that is not a number is an
 * outlier. A median of 0 (a site that is mostly silent) masks nothing by norm.
 */
export function computeMask(input: MaskInput): Uint8Array<ArrayBuffer> {
  const { norms, positions, lengths, medianNorm, policy } = input;
  if (positions.length !== norms.length || lengths.length !== norms.length) {
    throw new ShapeError({
      code: "SHAPE_MASK",
      message: `the mask got ${norms.length} norms, ${positions.length} positions and ${lengths.length} lengths`,
      fix: "give one of each for every row",
    });
  }
  checkMaskPolicy(policy);
  const ratio = medianNorm > 0 ? policy.maximumNormRatio : null;
  const limit = ratio === null ? null : medianNorm * ratio;
  const mask = new Uint8Array(norms.length);
  for (let row = 0; row < mask.length; row++) {
    const position = positions[row] ?? 0;
    if (position >= (lengths[row] ?? 0)) mask[row] = maskReasons.padding;
    else if (position === 0 && policy.maskFirstPosition) mask[row] = maskReasons.firstPosition;
    else if (limit !== null && !((norms[row] ?? 0) <= limit)) mask[row] = maskReasons.normOutlier;
  }
  return mask;
}

/** The rows of a batch `[lengths.length, width]`, in the order in which a run returns them. */
export function contextGrid(
  lengths: ArrayLike<number>,
  width: number,
): { positions: Int32Array; lengths: Int32Array } {
  const rows = lengths.length * width;
  const grid = { positions: new Int32Array(rows), lengths: new Int32Array(rows) };
  for (let row = 0; row < rows; row++) {
    grid.positions[row] = row % width;
    grid.lengths[row] = lengths[Math.floor(row / width)] ?? 0;
  }
  return grid;
}

/**
 * The median norm over tokens that are neither padding nor at position 0, which {@link computeMask} compares with.
 * 0 where there is no such token, which masks nothing by norm.
 */
export function medianTokenNorm(
  norms: ArrayLike<number>,
  positions: ArrayLike<number>,
  lengths: ArrayLike<number>,
): number {
  const counted: number[] = [];
  for (let row = 0; row < norms.length; row++) {
    const position = positions[row] ?? 0;
    if (position > 0 && position < (lengths[row] ?? 0)) counted.push(norms[row] ?? 0);
  }
  return counted.length === 0 ? 0 : median(counted);
}

/** Throws {@link ConfigError} unless the ratio is above 1. */
export function checkMaskPolicy(policy: MaskPolicy): void {
  if (policy.maximumNormRatio === null || policy.maximumNormRatio > 1) return;
  throw new ConfigError({
    code: "MASK_INVALID",
    message: `maximumNormRatio ${policy.maximumNormRatio} would mask half of all tokens or more`,
    fix: "give a number above 1, for example 10, or null to mask none by norm",
  });
}
