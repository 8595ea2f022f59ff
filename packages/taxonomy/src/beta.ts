import { ConfigError } from "@latentkit/core";

/** Lanczos coefficients (g = 7, n = 9): |relative error| below 1e-14 for positive arguments. */
const lanczos: readonly number[] = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
  -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
  1.5056327351493116e-7,
];

/** Natural logarithm of the gamma function, for x > 0. */
export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const shifted = x - 1;
  let series = lanczos[0] ?? 0;
  for (let index = 1; index < lanczos.length; index++)
    series += (lanczos[index] ?? 0) / (shifted + index);
  const base = shifted + 7.5;
  return 0.5 * Math.log(2 * Math.PI) + (shifted + 0.5) * Math.log(base) - base + Math.log(series);
}

/**
 * I_x(a, b), the regularised incomplete beta function: the chance that a Beta(a, b) variable is at most x.
 *
 * @throws ConfigError `BETA_ARGUMENT` unless a, b > 0 and 0 <= x <= 1
 */
export function regularizedBeta(x: number, a: number, b: number): number {
  checkArguments(x, a, b);
  if (x === 0 || x === 1) return x;
  // The fraction converges fast below the mean only; above it, use the symmetry I_x(a, b) = 1 - I_{1-x}(b, a).
  return x < (a + 1) / (a + b + 2) ? lowerTail(x, 1 - x, a, b) : 1 - lowerTail(1 - x, x, b, a);
}

/** 1 - I_x(a, b) without the cancellation that the subtraction would suffer for tiny tails. */
export function regularizedBetaUpper(x: number, a: number, b: number): number {
  checkArguments(x, a, b);
  if (x === 0 || x === 1) return 1 - x;
  return x < (a + 1) / (a + b + 2) ? 1 - lowerTail(x, 1 - x, a, b) : lowerTail(1 - x, x, b, a);
}

/** The x with I_x(a, b) = probability, by bisection to the last bit that matters. */
export function betaQuantile(probability: number, a: number, b: number): number {
  checkArguments(probability, a, b);
  let [low, high] = [0, 1];
  for (let round = 0; round < 200 && high - low > 1e-15 * high; round++) {
    const middle = (low + high) / 2;
    if (regularizedBeta(middle, a, b) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** x^a (1 - x)^b / (a B(a, b)) times the continued fraction, by Lentz's method. `rest` is 1 - x. */
function lowerTail(x: number, rest: number, a: number, b: number): number {
  const logFront =
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(rest);
  const tiny = 1e-300;
  let d = 1 / guard(1 - ((a + b) * x) / (a + 1), tiny);
  let c = 1;
  let fraction = d;
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / guard(1 + even * d, tiny);
    c = guard(1 + even / c, tiny);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / guard(1 + odd * d, tiny);
    c = guard(1 + odd / c, tiny);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return (Math.exp(logFront) * fraction) / a;
}

function guard(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value;
}

function checkArguments(x: number, a: number, b: number): void {
  if (a > 0 && b > 0 && x >= 0 && x <= 1) return;
  throw new ConfigError({
    code: "BETA_ARGUMENT",
    message: `beta distribution got x = ${x}, a = ${a}, b = ${b}`,
    fix: "give a and b above 0 and x between 0 and 1",
  });
}
