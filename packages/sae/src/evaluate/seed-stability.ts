import { ConfigError } from "@latentkit/core";
import type { Sae } from "../sae.ts";
import {
  compareDirections,
  type CompareDirectionsOptions,
  type DirectionComparison,
} from "./compare-directions.ts";

/** One pair of SAEs. */
export interface SeedPair extends DirectionComparison {
  /** Places in the list that was given. */
  readonly pair: readonly [number, number];
  /**
   * Share of the matched latents whose encoder rows too have a cosine above `foundAbove`: the same latent read and written (Paulo and
   * Belrose, 2501.16615).
   */
  readonly sharedLatents: number;
}

/** How much SAEs of one recipe and different seeds have in common. */
export interface SeedStability {
  readonly pairs: readonly SeedPair[];
  /** Means over the pairs. */
  readonly meanMatchedCosine: number;
  readonly meanMaxCosine: number;
  readonly foundAgain: number;
  readonly sharedLatents: number;
}

/** How {@link seedStability} goes about it. */
export interface SeedStabilityOptions extends Omit<
  CompareDirectionsOptions,
  "absolute" | "device"
> {
  /** For each SAE the share of tokens on which each latent fires: dead ones are left out. All latents are compared without it. */
  readonly densities?: readonly ArrayLike<number>[] | undefined;
}

/**
 * Compares every pair of SAEs by their decoders, as `compareDirections` does, and their encoders along the same matching.
 *
 * @throws ConfigError `SEEDS_FEW` for fewer than two SAEs; what {@link compareDirections} throws
 */
export async function seedStability(
  saes: readonly Sae[],
  options: SeedStabilityOptions = {},
): Promise<SeedStability> {
  const [first] = saes;
  if (first === undefined || saes.length < 2) {
    throw new ConfigError({
      code: "SEEDS_FEW",
      message: `${saes.length} SAEs were given, and stability is about pairs`,
      fix: "give at least two SAEs, trained alike but for the seed",
    });
  }
  const { foundAbove = 0.7 } = options;
  const weights = await Promise.all(saes.map((sae) => sae.weights()));
  const alive = saes.map((_, index) => {
    const densities = options.densities?.[index];
    if (densities === undefined) return undefined;
    return Array.from(densities, (_density, latent) => latent).filter(
      (latent) => (densities[latent] ?? 0) > 0,
    );
  });
  const pairs: SeedPair[] = [];
  for (let left = 0; left < saes.length; left++) {
    for (let right = left + 1; right < saes.length; right++) {
      const [a, b] = [weights[left], weights[right]];
      if (a === undefined || b === undefined) continue;
      const side = (index: number, rows: Float32Array) => ({
        rows,
        width: saes[index]?.dOut ?? 0,
        only: alive[index],
      });
      const comparison = await compareDirections(side(left, a.decoder), side(right, b.decoder), {
        ...options,
        device: first.device,
      });
      const { dIn } = first.config;
      const shared = comparison.matches.filter(
        (match) =>
          match.cosine > foundAbove &&
          rowCosine(a.encoderRows, match.a, b.encoderRows, match.b, dIn) > foundAbove,
      );
      pairs.push({
        ...comparison,
        pair: [left, right],
        sharedLatents: shared.length / comparison.matches.length,
      });
    }
  }
  const mean = (figure: (pair: SeedPair) => number): number =>
    pairs.reduce((sum, pair) => sum + figure(pair), 0) / pairs.length;
  return {
    pairs,
    meanMatchedCosine: mean((pair) => pair.meanMatchedCosine),
    meanMaxCosine: mean((pair) => pair.meanMaxCosine),
    foundAgain: mean((pair) => pair.foundAgain),
    sharedLatents: mean((pair) => pair.sharedLatents),
  };
}

function rowCosine(
  a: Float32Array,
  rowA: number,
  b: Float32Array,
  rowB: number,
  width: number,
): number {
  let [product, squaresA, squaresB] = [0, 0, 0];
  for (let column = 0; column < width; column++) {
    const [x, y] = [a[rowA * width + column] ?? 0, b[rowB * width + column] ?? 0];
    product += x * y;
    squaresA += x * x;
    squaresB += y * y;
  }
  return squaresA > 0 && squaresB > 0 ? product / Math.sqrt(squaresA * squaresB) : 0;
}
