import type { Random } from "@latentkit/core";
import { type Correlation, syntheticError } from "./config.ts";
import { normalQuantile } from "./normal-quantile.ts";

/** Which features fire in one row: 1 for those, `[features]`. Draws as many numbers each time. */
export type FiringSampler = (random: Random, fired: Uint8Array) => void;

/** Features that fire on their own. */
export function independent(probabilities: Float64Array): FiringSampler {
  return (random, fired) => {
    for (const [feature, probability] of probabilities.entries())
      fired[feature] = random.uniform() < probability ? 1 : 0;
  };
}

/**
 * Features that fire together: feature i where a standard normal variable is above the quantile of 1 - p_i, and these variables are
 * correlated. (The correlation of firing itself is smaller.)
 *
 * @throws ConfigError `SYNTHETIC_CONFIG` for pairs that no variables can have at once
 */
export function correlated(
  probabilities: Float64Array,
  correlation: Correlation,
  random: Random,
): FiringSampler {
  const thresholds = probabilities.map((p) =>
    p <= 0 ? Number.POSITIVE_INFINITY : p >= 1 ? Number.NEGATIVE_INFINITY : normalQuantile(1 - p),
  );
  const fill =
    correlation.kind === "low-rank"
      ? lowRank(probabilities.length, correlation, random)
      : paired(probabilities.length, correlation);
  const variables = new Float64Array(probabilities.length);
  return (draws, fired) => {
    fill(draws, variables);
    for (const [feature, value] of variables.entries())
      fired[feature] = value > (thresholds[feature] ?? 0) ? 1 : 0;
  };
}

type Filler = (random: Random, variables: Float64Array) => void;

/** No feature's variance comes from the factors alone. */
const leastOwn = 0.01;

function lowRank(
  features: number,
  { rank, scale }: Extract<Correlation, { kind: "low-rank" }>,
  random: Random,
): Filler {
  const loadings = Float64Array.from({ length: features * rank }, () => scale * random.normal());
  const own = new Float64Array(features);
  for (let feature = 0; feature < features; feature++) {
    const row = loadings.subarray(feature * rank, (feature + 1) * rank);
    const shared = row.reduce((sum, value) => sum + value * value, 0);
    if (1 - shared < leastOwn) {
      const factor = Math.sqrt((1 - leastOwn) / shared);
      for (const [at, value] of row.entries()) row[at] = value * factor;
    }
    own[feature] = Math.sqrt(Math.max(leastOwn, 1 - shared));
  }
  const factors = new Float64Array(rank);
  return (draws, variables) => {
    for (let factor = 0; factor < rank; factor++) factors[factor] = draws.normal();
    for (let feature = 0; feature < features; feature++) {
      let sum = (own[feature] ?? 0) * draws.normal();
      for (let factor = 0; factor < rank; factor++)
        sum += (loadings[feature * rank + factor] ?? 0) * (factors[factor] ?? 0);
      variables[feature] = sum;
    }
  };
}

function paired(
  features: number,
  { pairs, others = 0 }: Extract<Correlation, { kind: "pairs" }>,
): Filler {
  const matrix = new Float64Array(features * features).fill(others);
  for (let feature = 0; feature < features; feature++) matrix[feature * (features + 1)] = 1;
  for (const [i, j, value] of pairs) {
    if (i >= features || j >= features || i === j)
      throw syntheticError(`correlation: ${i} and ${j} are no pair of ${features} features`);
    matrix[i * features + j] = value;
    matrix[j * features + i] = value;
  }
  const factor = cholesky(matrix, features);
  const normals = new Float64Array(features);
  return (draws, variables) => {
    for (let feature = 0; feature < features; feature++) {
      normals[feature] = draws.normal();
      let sum = 0;
      for (let other = 0; other <= feature; other++)
        sum += (factor[feature * features + other] ?? 0) * (normals[other] ?? 0);
      variables[feature] = sum;
    }
  };
}

/** The lower triangle L with L L^T = `matrix`. */
function cholesky(matrix: Float64Array, size: number): Float64Array {
  const factor = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = matrix[row * size + column] ?? 0;
      for (let at = 0; at < column; at++)
        sum -= (factor[row * size + at] ?? 0) * (factor[column * size + at] ?? 0);
      if (row !== column) {
        factor[row * size + column] = sum / (factor[column * size + column] ?? 1);
        continue;
      }
      if (!(sum > 1e-9))
        throw syntheticError(
          `correlation: no variables have all of these correlations (they are not positive definite at feature ${row})`,
        );
      factor[row * size + row] = Math.sqrt(sum);
    }
  }
  return factor;
}
