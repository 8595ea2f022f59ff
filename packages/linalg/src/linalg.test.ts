import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
// Made by oracles/linalg/make.py; oracles/linalg/versions.txt says with what.
import goldens from "./__fixtures__/goldens.json" with { type: "json" };
import {
  cholesky,
  choleskySolve,
  identity,
  leastSquares,
  type Matrix,
  matrix,
  multiply,
  multiplyTransposed,
  orthonormalize,
  principalAngles,
  qr,
  randomizedSvd,
  solveLower,
  type Svd,
  svd,
  symmetricEigen,
  toTensor,
  transpose,
} from "./index.ts";

registerMatchers(expect);

function golden({
  shape,
  f64,
}: {
  readonly shape: readonly number[];
  readonly f64: string;
}): Matrix {
  const bytes = Uint8Array.from(Buffer.from(f64, "base64"));
  return matrix(shape[0] ?? 1, shape[1] ?? 1, new Float64Array(bytes.buffer));
}

function normal(rows: number, columns: number, seed = 1): Matrix {
  const random = new Random(seed);
  return matrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, () => random.normal()),
  );
}

/** U^T diag(values) V. */
function compose({ values, left, right }: Svd): Matrix {
  const scaled = matrix(
    right.rows,
    right.columns,
    right.data.map((value, index) => value * (values[Math.floor(index / right.columns)] ?? 0)),
  );
  return multiply(transpose(left), scaled);
}

function expectOrthonormalRows(m: Matrix, atol = 1e-13): void {
  expect(multiplyTransposed(m, m).data).toBeClose(identity(m.rows).data, { rtol: 0, atol });
}

function largestOf({ data }: Matrix): number {
  return data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

const size = fc.integer({ min: 1, max: 40 });
const seed = fc.nat(1e6);
const settings = { numRuns: 40, seed: 20260101 };

describe("matrix products", () => {
  it("agree with the definition", () => {
    fc.assert(
      fc.property(size, size, size, seed, (m, n, k, start) => {
        const [a, b] = [normal(m, k, start), normal(k, n, start + 1)];
        const product = multiply(a, b).data;
        const expected = Float64Array.from({ length: m * n }, (_, at) => {
          let sum = 0;
          for (let p = 0; p < k; p++)
            sum += (a.data[Math.floor(at / n) * k + p] ?? 0) * (b.data[p * n + (at % n)] ?? 0);
          return sum;
        });
        expect(product).toBeClose(expected, { rtol: 0, atol: 1e-13 * k });
      }),
      settings,
    );
  });

  it("of nothing are nothing, or zeros", () => {
    expect(multiply(matrix(0, 3), matrix(3, 2)).data).toHaveLength(0);
    expect(multiply(matrix(2, 0), matrix(0, 2)).data).toEqual(new Float64Array(4));
  });

  it("refuse shapes that do not fit, naming both", () => {
    expect(() => multiply(matrix(2, 3), matrix(2, 3))).toThrow("[2, 3] and [2, 3]");
    expect(() => multiplyTransposed(matrix(2, 3), matrix(3, 2))).toThrow("[2, 3] and [3, 2]");
    expect(() => matrix(2, 2, [1, 2, 3])).toThrow("takes 4 numbers");
  });
});

describe("qr", () => {
  it("gives back the matrix, with orthonormal columns and a triangle", () => {
    fc.assert(
      fc.property(size, fc.nat(25), seed, (n, more, start) => {
        const a = normal(n + more, n, start);
        const { q, r } = qr(a);
        expect(multiply(q, r).data).toBeClose(a.data, { rtol: 0, atol: 1e-13 * (n + more) });
        expectOrthonormalRows(transpose(q), 1e-13);
        for (let i = 0; i < n; i++) {
          expect(r.data[i * n + i]).toBeGreaterThanOrEqual(0);
          for (let j = 0; j < i; j++) expect(r.data[i * n + j]).toBe(0);
        }
      }),
      settings,
    );
  });

  it("agrees with NumPy", () => {
    const { r } = qr(golden(goldens.tall));
    const diagonal = Float64Array.from({ length: r.rows }, (_, i) => r.data[i * r.rows + i] ?? 0);
    expect(diagonal).toBeClose(golden(goldens.r).data, { rtol: 1e-13, atol: 0 });
  });

  it("stays orthonormal where columns nearly depend on each other, and for zeros", () => {
    const a = normal(30, 4);
    for (let i = 0; i < 30; i++) a.data[i * 4 + 3] = (a.data[i * 4] ?? 0) * (1 + 1e-14);
    expectOrthonormalRows(transpose(qr(a).q));
    expectOrthonormalRows(transpose(orthonormalize(matrix(5, 3))));
  });

  it("does not overflow", () => {
    const a = matrix(3, 1, [3e200, 4e200, 0]);
    expect(qr(a).r.data[0]).toBeCloseTo(5e200, -190);
  });

  it("refuses wide matrices and NaN", () => {
    expect(() => qr(matrix(2, 3))).toThrow("shape [2, 3]");
    expect(() => qr(matrix(2, 2, [1, 2, Number.NaN, 4]))).toThrow("row 1, column 0");
  });
});

describe("symmetricEigen", () => {
  it("gives back the matrix; vectors are orthonormal, values sum to the trace", () => {
    fc.assert(
      fc.property(size, seed, (n, start) => {
        const half = normal(n, n, start);
        const a = matrix(
          n,
          n,
          half.data.map((value, at) => value + (half.data[(at % n) * n + Math.floor(at / n)] ?? 0)),
        );
        const { values, vectors } = symmetricEigen(a);
        expectOrthonormalRows(vectors);
        const back = compose({ values, left: vectors, right: vectors });
        expect(back.data).toBeClose(a.data, { rtol: 0, atol: 2e-13 * n });
        for (let i = 1; i < n; i++) expect(values[i]).toBeLessThanOrEqual(values[i - 1] ?? 0);
      }),
      settings,
    );
  });

  it("agrees with NumPy", () => {
    const { values } = symmetricEigen(golden(goldens.symmetric));
    expect(values).toBeClose(golden(goldens.eigenvalues).data, { rtol: 1e-13, atol: 1e-13 });
  });

  it("handles repeated values, diagonal matrices, zeros and several batches of rotations", () => {
    expect(symmetricEigen(identity(7)).values).toEqual(new Float64Array(7).fill(1));
    expect(symmetricEigen(matrix(3, 3)).values).toEqual(new Float64Array(3));
    expect(symmetricEigen(matrix(0, 0)).values).toHaveLength(0);
    expect(symmetricEigen(matrix(3, 3, [1, 0, 0, 0, -5, 0, 0, 0, 3])).values).toEqual(
      Float64Array.of(3, 1, -5),
    );
    const half = normal(200, 200);
    const a = multiplyTransposed(half, half);
    const { values, vectors } = symmetricEigen(a);
    expectOrthonormalRows(vectors);
    expect(compose({ values, left: vectors, right: vectors }).data).toBeClose(a.data, {
      rtol: 0,
      atol: 1e-13 * largestOf(a),
    });
  });

  it("knows the chain of springs: 2 - 2 cos(k pi / (n + 1))", () => {
    const n = 50;
    const chain = matrix(n, n);
    for (let i = 0; i < n; i++) {
      chain.data[i * n + i] = 2;
      if (i > 0) chain.data[i * n + i - 1] = chain.data[(i - 1) * n + i] = -1;
    }
    const expected = Float64Array.from(
      { length: n },
      (_, k) => 2 - 2 * Math.cos(((n - k) * Math.PI) / (n + 1)),
    );
    expect(symmetricEigen(chain).values).toBeClose(expected, { rtol: 0, atol: 1e-14 });
  });

  it("refuses what has no such decomposition, naming the place", () => {
    expect(() => symmetricEigen(matrix(2, 2, [1, 2, 3, 4]))).toThrow("3 at row 1, column 0");
    expect(() => symmetricEigen(matrix(2, 3))).toThrow("shape [2, 3]");
    expect(() => symmetricEigen(matrix(1, 1, [Number.POSITIVE_INFINITY]))).toThrow(
      "Infinity at row 0",
    );
  });
});

describe("svd", () => {
  it("gives back the matrix; vectors are orthonormal", () => {
    fc.assert(
      fc.property(size, size, seed, (m, n, start) => {
        const a = normal(m, n, start);
        const result = svd(a);
        expect(compose(result).data).toBeClose(a.data, { rtol: 0, atol: 1e-13 * (m + n) });
        expectOrthonormalRows(result.left);
        expectOrthonormalRows(result.right);
      }),
      settings,
    );
  });

  it("agrees with NumPy on a graded spectrum, the small values included", () => {
    expect(svd(golden(goldens.graded)).values).toBeClose(golden(goldens.gradedValues).data, {
      rtol: 1e-6,
      atol: 1e-17,
    });
  });

  it("finds columns of very different sizes to full relative accuracy", () => {
    const a = matrix(6, 4);
    for (let j = 0; j < 4; j++) a.data[j * 4 + j] = 10 ** (-30 * j);
    expect(svd(a).values).toBeClose(Float64Array.of(1, 1e-30, 1e-60, 1e-90), {
      rtol: 1e-14,
      atol: 0,
    });
  });

  it("completes the vectors of rank-deficient matrices, and takes empty ones", () => {
    const column = normal(12, 1);
    const a = multiply(column, normal(1, 5, 2));
    const { values, left, right } = svd(a);
    expect(values.filter((value) => value > 1e-12)).toHaveLength(1);
    expectOrthonormalRows(left);
    expectOrthonormalRows(right);
    expectOrthonormalRows(svd(matrix(4, 3)).left);
    expect(svd(matrix(3, 0)).values).toHaveLength(0);
    expect(svd(matrix(0, 3)).values).toHaveLength(0);
  });
});

describe("cholesky and least squares", () => {
  it("factor and solve, as NumPy does", () => {
    const positive = golden(goldens.positive);
    const l = cholesky(positive);
    expect(l.data).toBeClose(golden(goldens.cholesky).data, { rtol: 1e-12, atol: 1e-13 });
    const x = normal(9, 2);
    expect(choleskySolve(l, multiply(positive, x)).data).toBeClose(x.data, {
      rtol: 0,
      atol: 1e-11,
    });
    const [tall, targets] = [golden(goldens.tall), golden(goldens.targets)];
    expect(leastSquares(tall, targets).data).toBeClose(golden(goldens.solution).data, {
      rtol: 1e-11,
      atol: 1e-13,
    });
    const { ridge } = goldens;
    expect(leastSquares(tall, targets, { ridge }).data).toBeClose(
      golden(goldens.ridgeSolution).data,
      { rtol: 1e-11, atol: 1e-13 },
    );
    expect(
      leastSquares(golden(goldens.wide), golden(goldens.wideTargets), { ridge }).data,
    ).toBeClose(golden(goldens.wideRidgeSolution).data, { rtol: 1e-11, atol: 1e-13 });
  });

  it("factors across panels", () => {
    const half = normal(150, 150);
    const a = multiplyTransposed(half, half);
    for (let i = 0; i < 150; i++) a.data[i * 150 + i] = (a.data[i * 150 + i] ?? 0) + 1;
    const l = cholesky(a);
    expect(multiplyTransposed(l, l).data).toBeClose(a.data, {
      rtol: 0,
      atol: 1e-12 * largestOf(a),
    });
  });

  it("leaves a residual that is orthogonal to the columns", () => {
    const [a, b] = [normal(50, 7), normal(50, 2, 9)];
    const fitted = multiply(a, leastSquares(a, b));
    const residual = matrix(
      50,
      2,
      b.data.map((value, at) => value - (fitted.data[at] ?? 0)),
    );
    expect(multiply(transpose(a), residual).data).toBeClose(new Float64Array(14), {
      rtol: 0,
      atol: 1e-12,
    });
  });

  it("refuse what cannot be solved, saying where", () => {
    expect(() => cholesky(matrix(2, 2, [1, 2, 2, 1]))).toThrow("pivot of row 1 is -3");
    expect(() => cholesky(matrix(2, 2, [1, 2, 0, 1]))).toThrow("0 at row 1, column 0");
    expect(() => leastSquares(matrix(3, 2, [1, 2, 2, 4, 3, 6]), matrix(3, 1))).toThrow(
      "column 1 depends",
    );
    expect(() => leastSquares(matrix(3, 2), matrix(2, 1))).toThrow("[3, 2] and [2, 1]");
    expect(() => leastSquares(matrix(1, 1, [1]), matrix(1, 1), { ridge: -1 })).toThrow(
      "ridge = -1",
    );
    expect(() => solveLower(matrix(1, 1), matrix(1, 1))).toThrow("singular");
  });
});

describe("principalAngles", () => {
  it("agree with arithmetic of 60 digits, an angle of 1e-8 included", () => {
    const angles = principalAngles(golden(goldens.first), golden(goldens.second));
    expect(angles).toBeClose(golden(goldens.angles).data, { rtol: 1e-6, atol: 1e-15 });
    expect(angles[0]).toBeLessThan(1e-7);
  });

  it("are what was planted, whatever the bases", () => {
    const planted = [1e-10, 0.3, Math.PI / 2];
    const [a, b] = [matrix(9, 3), matrix(9, 3)];
    for (const [j, angle] of planted.entries()) {
      a.data[j * 3 + j] = 1;
      b.data[j * 3 + j] = Math.cos(angle);
      b.data[(j + 3) * 3 + j] = Math.sin(angle);
    }
    const mixed = multiply(b, normal(3, 3));
    expect(principalAngles(a, mixed)).toBeClose(Float64Array.from(planted), {
      rtol: 1e-4,
      atol: 1e-15,
    });
    expect(principalAngles(mixed, a)).toBeClose(Float64Array.from(planted), {
      rtol: 1e-4,
      atol: 1e-15,
    });
  });

  it("refuse directions of different length", () => {
    expect(() => principalAngles(matrix(3, 1), matrix(4, 1))).toThrow("[3, 1] and [4, 1]");
  });
});

describe("randomizedSvd", () => {
  it("finds a planted low rank and its directions", async () => {
    using device = new Device(createReferenceBackend());
    const values = [40, 20, 10, 5, 2.5];
    const left = transpose(orthonormalize(normal(60, 5)));
    const right = transpose(orthonormalize(normal(33, 5, 2)));
    const planted = { values: Float64Array.from(values), left, right };
    using a = toTensor(device, compose(planted));
    const found = await randomizedSvd(a, { rank: 5, seed: 3 });
    expect(found.values).toBeClose(planted.values, { rtol: 1e-5, atol: 0 });
    const angles = principalAngles(transpose(found.right), transpose(right));
    expect(Math.max(...angles)).toBeLessThan(1e-5);
    expectOrthonormalRows(found.left, 1e-12);
  });

  it("is as good as the best approximation, up to the tail (Eckart and Young)", async () => {
    using device = new Device(createReferenceBackend());
    const host = normal(40, 30);
    using a = toTensor(device, host);
    const exact = svd(host).values;
    const found = await randomizedSvd(a, { rank: 6, seed: 1 });
    const best = Math.hypot(...exact.subarray(6));
    const approximation = compose(found);
    const error = Math.hypot(
      ...host.data.map((value, at) => value - (approximation.data[at] ?? 0)),
    );
    expect(error).toBeGreaterThan(best * (1 - 1e-6));
    expect(error).toBeLessThan(best * 1.01);
  });

  it("repeats bit for bit, can be stopped, and says what it does not take", async () => {
    using device = new Device(createReferenceBackend());
    using a = toTensor(device, normal(12, 9));
    const options = { rank: 3, seed: 5 };
    expect(await randomizedSvd(a, options)).toEqual(await randomizedSvd(a, options));
    await expect(randomizedSvd(a, { ...options, signal: AbortSignal.abort() })).rejects.toThrow(
      /abort|stop/i,
    );
    await expect(randomizedSvd(a, { ...options, rank: 10 })).rejects.toThrow("from 1 to 9");
  });
});
