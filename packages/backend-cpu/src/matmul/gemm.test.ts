import { Random } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Bench, openBench, reasonToSkipBlas } from "../test-support.ts";

interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
  readonly beta: number;
  /** Extra elements of each stored row of a, b and out. */
  readonly gaps: readonly [number, number, number];
  readonly seed: number;
}

const sizes = fc.oneof(
  fc.integer({ min: 1, max: 9 }),
  fc.integer({ min: 1, max: 70 }),
  fc.constantFrom(127, 128, 129, 256, 257),
);
const gap = fc.integer({ min: 0, max: 5 });
const products: fc.Arbitrary<Product> = fc.record({
  m: sizes,
  n: sizes,
  k: sizes,
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
  alpha: fc.constantFrom(1, -0.5, 2),
  beta: fc.constantFrom(0, 1, -0.25),
  gaps: fc.tuple(gap, gap, gap),
  seed: fc.integer({ min: 0, max: 1 << 30 }),
});

const skip = await reasonToSkipBlas();

for (const provider of ["wasm", "blas"] as const) {
  describe.skipIf(provider === "blas" && skip !== null)(
    `matrix product of ${provider}`,
    async () => {
      const bench = provider === "blas" && skip !== null ? null : await openBench(provider);

      it("agrees with f64 for all shapes, strides and transposes", () => {
        const property = fc.property(products, (product) => {
          expect(faultOf(bench, product)).toBeNull();
        });
        fc.assert(property, { numRuns: 150 });
      });

      it.each([
        [261, 1030, 270],
        [4, 2050, 517],
        [260, 8, 1025],
      ])("agrees with f64 across the blocks of %i x %i x %i", (m, n, k) => {
        for (const [transposeA, transposeB] of [
          [false, true],
          [true, false],
        ] as const) {
          expect(
            faultOf(bench, {
              m,
              n,
              k,
              transposeA,
              transposeB,
              alpha: 1,
              beta: 1,
              gaps: [0, 0, 0],
              seed: 5,
            }),
          ).toBeNull();
        }
      });

      it.each([1, 2, 7, 64])(
        "hands NaN and infinity on, and nothing of an output that it must not read (%i rows)",
        (m) => {
          const [n, k] = [33, 19];
          const { a, b, out, run } = operands(bench, m, n, k);
          a.fill(1);
          b.fill(1);
          out.fill(Number.NaN);
          a[3] = Number.NaN;
          b[2 * n + 5] = Number.POSITIVE_INFINITY;
          run();
          for (let row = 0; row < m; row++) {
            for (let column = 0; column < n; column++) {
              const expected = row === 0 ? Number.NaN : column === 5 ? Number.POSITIVE_INFINITY : k;
              expect(out[row * n + column]).toBe(expected);
            }
          }
        },
      );

      it("gives the same bits each time", () => {
        const { a, b, out, run } = operands(bench, 130, 70, 90);
        new Random(3).fillNormal(a);
        new Random(4).fillNormal(b);
        run();
        const first = out.slice();
        for (let repeat = 0; repeat < 5; repeat++) {
          run();
          expect(out).toEqual(first);
        }
      });
    },
  );
}

function operands(
  bench: Bench | null,
  m: number,
  n: number,
  k: number,
): { a: Float32Array; b: Float32Array; out: Float32Array; run: () => void } {
  if (bench === null) throw new TypeError("no provider");
  bench.clear();
  const [a, b, out] = [bench.reserve(m * k), bench.reserve(k * n), bench.reserve(m * n)];
  const call = {
    transposeA: false,
    transposeB: false,
    m,
    n,
    k,
    alpha: 1,
    beta: 0,
    strideA: k,
    strideB: n,
    strideOut: n,
  };
  return {
    a: a.view,
    b: b.view,
    out: out.view,
    run: () => bench.gemm.sgemm({ ...call, a: a.address, b: b.address, out: out.address }),
  };
}

/** What is wrong with a product against f64, or null. */
function faultOf(bench: Bench | null, product: Product): string | null {
  if (bench === null) return "no provider";
  const { m, n, k, transposeA, transposeB, alpha, beta, gaps, seed } = product;
  const [aRows, aColumns] = transposeA ? [k, m] : [m, k];
  const [bRows, bColumns] = transposeB ? [n, k] : [k, n];
  const [strideA, strideB, strideOut] = [aColumns + gaps[0], bColumns + gaps[1], n + gaps[2]];
  bench.clear();
  const places = [
    bench.reserve(aRows * strideA),
    bench.reserve(bRows * strideB),
    bench.reserve(m * strideOut),
  ] as const;
  const [a, b, out] = [places[0].view, places[1].view, places[2].view];
  const random = new Random(seed);
  for (const array of [a, b, out])
    for (let i = 0; i < array.length; i++) array[i] = random.uniform() - 0.5;
  if (beta === 0) out.fill(Number.NaN);
  const before = out.slice();
  const [aAt, bAt, outAt] = [places[0].address, places[1].address, places[2].address];
  bench.gemm.sgemm({
    transposeA,
    transposeB,
    m,
    n,
    k,
    alpha,
    beta,
    a: aAt,
    strideA,
    b: bAt,
    strideB,
    out: outAt,
    strideOut,
  });
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < strideOut; column++) {
      const at = row * strideOut + column;
      const given = out[at] ?? Number.NaN;
      if (column >= n) {
        if (!Object.is(given, before[at])) return `wrote behind row ${row}`;
        continue;
      }
      let sum = 0;
      let magnitude = 0;
      for (let i = 0; i < k; i++) {
        const term =
          (a[transposeA ? i * strideA + row : row * strideA + i] ?? 0) *
          (b[transposeB ? column * strideB + i : i * strideB + column] ?? 0);
        sum += term;
        magnitude += Math.abs(term);
      }
      const expected = alpha * sum + (beta === 0 ? 0 : beta * (before[at] ?? 0));
      // k additions in f32 in any order err by at most k ulps of the terms' magnitudes.
      const bound = (k + 3) * 2 ** -24 * (Math.abs(alpha) * magnitude + Math.abs(beta) + 2 ** -20);
      if (!(Math.abs(given - expected) <= bound))
        return `${given} instead of ${expected} at ${row}, ${column}`;
    }
  }
  return null;
}
