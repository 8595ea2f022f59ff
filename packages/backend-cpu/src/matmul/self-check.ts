import { Random } from "@latentkit/core";
import type { Gemm } from "./provider.ts";

interface Case {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Elements by which each stored row is longer than needed. */
  readonly gap: number;
  readonly alpha: number;
  readonly beta: number;
}

const cases: readonly Case[] = [
  ...[false, true].flatMap((transposeA) =>
    [false, true].map((transposeB): Case => ({
      transposeA,
      transposeB,
      m: 13,
      n: 22,
      k: 17,
      gap: 3,
      alpha: 0.5,
      beta: 0,
    })),
  ),
  { transposeA: false, transposeB: true, m: 1, n: 19, k: 33, gap: 1, alpha: 1, beta: 0 },
  { transposeA: true, transposeB: false, m: 9, n: 7, k: 40, gap: 2, alpha: -1, beta: 1 },
  // Large enough for the blocked and threaded code.
  { transposeA: false, transposeB: true, m: 97, n: 143, k: 131, gap: 0, alpha: 1, beta: 0 },
];

/**
 * Multiplies small matrices and compares with f64. Returns what is wrong, or null: a library whose numbers are wrong (32-bit
 * against 64-bit integers, a broken build) must not be used.
 *
 * @param scratch bytes of the provider's memory that may be overwritten, at `address`
 */
export function selfCheck(
  gemm: Gemm,
  scratch: {
    readonly buffer: ArrayBufferLike;
    readonly address: number;
    readonly byteLength: number;
  },
): string | null {
  const random = new Random(7);
  for (const each of cases) {
    const { transposeA, transposeB, m, n, k, gap, alpha, beta } = each;
    const [aRows, aColumns] = transposeA ? [k, m] : [m, k];
    const [bRows, bColumns] = transposeB ? [n, k] : [k, n];
    const [strideA, strideB, strideOut] = [aColumns + gap, bColumns + gap, n + gap];
    let next = scratch.address;
    const take = (length: number): { view: Float32Array; address: number } => {
      const address = next;
      next += length * 4;
      return { view: new Float32Array(scratch.buffer, address, length), address };
    };
    const [a, b, out] = [take(aRows * strideA), take(bRows * strideB), take(m * strideOut)];
    for (const { view } of [a, b, out])
      for (let i = 0; i < view.length; i++) view[i] = random.uniform() - 0.5;
    // With beta = 0 what lies in the output must not matter.
    if (beta === 0) out.view.fill(Number.NaN);
    const before = out.view.slice();
    gemm.sgemm({
      transposeA,
      transposeB,
      m,
      n,
      k,
      alpha,
      beta,
      a: a.address,
      strideA,
      b: b.address,
      strideB,
      out: out.address,
      strideOut,
    });
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < strideOut; column++) {
        const at = row * strideOut + column;
        const given = out.view[at] ?? Number.NaN;
        if (column >= n) {
          if (Object.is(given, before[at])) continue;
          return `it wrote outside of the output, at row ${row}, column ${column} of ${describe(each)}`;
        }
        let expected = 0;
        for (let i = 0; i < k; i++) {
          const left = a.view[transposeA ? i * strideA + row : row * strideA + i] ?? 0;
          expected +=
            left * (b.view[transposeB ? column * strideB + i : i * strideB + column] ?? 0);
        }
        expected = alpha * expected + (beta === 0 ? 0 : beta * (before[at] ?? 0));
        // |a|, |b| <= 1/2: each of k roundings is at most k/4 * 2^-24.
        if (!(Math.abs(given - expected) <= k * k * 2 ** -26 + 1e-6))
          return `it gave ${given} for ${expected}, at row ${row}, column ${column} of ${describe(each)}`;
      }
    }
  }
  return null;
}

/** Bytes that {@link selfCheck} needs. */
export const selfCheckBytes: number = 4 * 3 * 160 * 160;

function describe({ transposeA, transposeB, m, n, k }: Case): string {
  return `a ${m} x ${k} by ${k} x ${n} product (a ${transposeA ? "" : "not "}transposed, b ${transposeB ? "" : "not "}transposed)`;
}
