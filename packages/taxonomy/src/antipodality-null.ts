import { ConfigError } from "@latentkit/core";
import { logGamma, regularizedBetaUpper } from "./beta.ts";

/** Shape of the random SAE whose antipodality is asked for. */
export interface AntipodalityNullOptions {
  /** Latents. */
  readonly n: number;
  /** Width of the site. */
  readonly d: number;
  /** Decoder equal to the encoder, as at initialisation; else both are drawn independently. Default false. */
  readonly tied?: boolean | undefined;
  /** As in `antipodality`. Default false. */
  readonly requireNegative?: boolean | undefined;
}

/** Distribution of s_i when weights are random. */
export interface AntipodalityNull {
  readonly mean: number;
  readonly median: number;
  /** 99.9% of random latents score below. */
  readonly high: number;
}

/**
 * The score that random weights reach for this (n, d), exactly and without drawing any.
 *
 * Given row i, its cosines with the other n - 1 Gaussian rows are independent, each with density proportional to
 * (1 - u^2)^((d - 3) / 2). So P(s <= p) = (1 - T(p))^(n - 1) with T the tail of one product: of two such cosines when encoder and
 * decoder are independent, of one squared when they are tied. A score means little until it is far above this.
 *
 * @throws ConfigError `ANTIPODALITY_NULL_SIZE` unless n >= 2 and d >= 2
 */
export function antipodalityNull(options: AntipodalityNullOptions): AntipodalityNull {
  const { n, d, tied = false, requireNegative = false } = options;
  if (!(Number.isInteger(n) && n >= 2 && Number.isInteger(d) && d >= 2)) {
    throw new ConfigError({
      code: "ANTIPODALITY_NULL_SIZE",
      message: `antipodality null asked for n = ${n} latents of width d = ${d}`,
      fix: "give integers of at least 2",
    });
  }
  const oneSided = requireNegative ? 0.5 : 1;
  const product = tied ? (p: number) => squareTail(p, d) : productTail(d);
  /** P(s > p) for p >= 0. */
  const above = (p: number): number => -Math.expm1((n - 1) * Math.log1p(-oneSided * product(p)));
  // Without a sign rule the best product may be negative when n is tiny: by symmetry P(s <= -p) = T(p)^(n - 1).
  const below = (p: number): number => (tied || requireNegative ? 0 : product(p) ** (n - 1));
  // The mass sits in a narrow range that shrinks with d: integrate up to where nothing is left, not to 1.
  const mean = integrate((p) => above(p) - below(p), 0, solve(above, 1e-13), 60);
  return { mean, median: solve(above, 0.5), high: solve(above, 0.001) };
}

/** P(u^2 > p) for the cosine u of two random directions: u^2 is Beta(1/2, (d - 1)/2). */
function squareTail(p: number, d: number): number {
  return regularizedBetaUpper(Math.min(1, Math.max(0, p)), 0.5, (d - 1) / 2);
}

/**
 * P(u v > p) = 2 * integral over u from p to 1 of density(u) P(v > p / u), both cosines positive or both negative.
 * With u = sin(t) the density is cos(t)^(d - 2), smooth down to d = 2.
 */
function productTail(d: number): (p: number) => number {
  const logConstant = logGamma(d / 2) - logGamma((d - 1) / 2) - 0.5 * Math.log(Math.PI);
  return (p) => {
    if (p >= 1) return 0;
    if (p <= 0) return 0.5;
    const start = Math.asin(p);
    // Beyond ten standard deviations the density is below 1e-21 and would only spread the nodes thin.
    const end = Math.max(start, Math.min(Math.PI / 2, start + 14 / Math.sqrt(d)));
    const inner = (t: number): number =>
      Math.exp(logConstant + (d - 2) * Math.log(Math.cos(t))) *
      0.5 *
      squareTail((p / Math.sin(t)) ** 2, d);
    return 2 * integrate(inner, start, end, 40);
  };
}

/** Composite Gauss-Legendre, five nodes a panel: never touches the ends, where a logarithm may be infinite. */
function integrate(f: (x: number) => number, low: number, high: number, panels: number): number {
  const nodes = [0, 0.5384693101056831, 0.906179845938664];
  const weights = [0.5688888888888889, 0.47862867049936647, 0.23692688505618908];
  const half = (high - low) / panels / 2;
  let sum = 0;
  for (let panel = 0; panel < panels; panel++) {
    const middle = low + (2 * panel + 1) * half;
    for (const [index, node] of nodes.entries()) {
      const weight = weights[index] ?? 0;
      sum += weight * (node === 0 ? f(middle) : f(middle - node * half) + f(middle + node * half));
    }
  }
  return sum * half;
}

/** The p in [0, 1] at which the falling function `above` crosses `probability`. */
function solve(above: (p: number) => number, probability: number): number {
  let [low, high] = [0, 1];
  for (let round = 0; round < 50; round++) {
    const middle = (low + high) / 2;
    if (above(middle) > probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
