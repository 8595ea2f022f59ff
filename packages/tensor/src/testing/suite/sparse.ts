/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { matmul } from "../../operators/matmul.ts";
import { clipRowNorms } from "../../operators/row-norms.ts";
import { encodeBatchTopK, encodeJumpRelu, encodeTopK } from "../../operators/sparse-encode.ts";
import {
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sparseGather,
  sparseOuterAdd,
  sparseRowL0,
  sparseRowSum,
  sparseScatterAdd,
  sparseSmallest,
  sparseToDense,
} from "../../operators/sparse-products.ts";
import { mul, sub } from "../../operators/arithmetic.ts";
import { SparseRows } from "../../sparse-rows.ts";
import {
  agree,
  anySeed,
  anySize,
  exact,
  fewSize,
  holds,
  readAll,
  someSize,
  sumTolerance,
  type Suite,
} from "./agree.ts";

const sparseInput = fc.record({
  seed: anySeed,
  rows: fewSize,
  width: someSize,
  capacity: fc.constantFrom(1, 3, 8, 40),
  columns: anySize,
});

/** What lies beyond a row's count is undefined; this makes it comparable. */
export function liveEntries(rows: SparseRows, entries: SparseRows["values"]): SparseRows {
  return new SparseRows({
    width: rows.width,
    counts: rows.counts,
    indices: rows.indices,
    values: entries,
  });
}

export function sparseSuite(suite: Suite): void {
  it("encodeTopK agrees with the reference, ties included", async () => {
    const input = fc.record({
      seed: anySeed,
      rows: fewSize,
      width: someSize,
      k: fc.nat(1000),
      levels: fc.constantFrom(4, 100_000),
    });
    await holds(
      input,
      ({ seed, rows, width, k, levels }) =>
        agree(suite, seed, exact, (inputs) => {
          const pre = Float32Array.from(
            { length: rows * width },
            () => inputs.random.integer(levels) - levels / 2,
          );
          return { rows: encodeTopK(inputs.of(pre, [rows, width]), (k % width) + 1) };
        }),
      60,
    );
  });

  it("encodeTopK chooses among allowed latents only, even when there are fewer than k", async () => {
    const input = fc.record({
      seed: anySeed,
      rows: fewSize,
      width: someSize,
      k: fc.nat(1000),
      share: fc.constantFrom(0, 0.1, 0.7),
    });
    await holds(input, ({ seed, rows, width, k, share }) =>
      agree(suite, seed, exact, (inputs) => {
        const allowed = Int32Array.from({ length: width }, () =>
          inputs.random.uniform() < share ? 1 : 0,
        );
        return {
          rows: encodeTopK(inputs.normal([rows, width]), (k % width) + 1, {
            allowed: inputs.of(allowed, [width]),
          }),
        };
      }),
    );
  });

  it("encodeTopK of wide rows agrees with the reference", async () => {
    await agree(suite, 50, exact, (inputs) => ({
      rows: encodeTopK(inputs.normal([3, 4099]), 64),
      few: encodeTopK(inputs.normal([3, 4099]), 1),
    }));
  });

  it("encodeBatchTopK agrees with the reference: ties, NaN, infinities, rows that overflow", async () => {
    const input = fc.record({
      seed: anySeed,
      rows: fewSize,
      width: someSize,
      k: fc.nat(10_000),
      levels: fc.constantFrom(2, 6, 100_000),
      odd: fc.constantFrom(0, 0.2),
      room: fc.constantFrom(0, 2, 1000),
    });
    await holds(
      input,
      ({ seed, rows, width, k, levels, odd, room }) =>
        agree(suite, seed, exact, (inputs) => {
          const { random } = inputs;
          const specials = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, -0];
          const pre = Float32Array.from({ length: rows * width }, () =>
            random.uniform() < odd
              ? (specials[random.integer(4)] ?? 0)
              : random.integer(levels) - levels / 2,
          );
          const kept = ((k % (2 * width)) + 1) / 2;
          const capacity = Math.min(room, width);
          return {
            rows: encodeBatchTopK(inputs.of(pre, [rows, width]), kept, { capacity }),
          };
        }),
      80,
    );
  });

  it("encodeBatchTopK of many rows agrees with the reference, and with the whole sorted", async () => {
    for (const [rows, width, k] of [
      [70, 1030, 4],
      [41, 515, 60],
      [300, 100, 30],
    ] as const) {
      await agree(suite, 55, exact, (inputs) => {
        const pre = inputs.normal([rows, width]);
        return { rows: encodeBatchTopK(pre, k), low: encodeBatchTopK(mul(pre, 0), k) };
      });
      const read = await readAll(suite.device, 56, (inputs) => {
        const pre = inputs.normal([rows, width]);
        return { pre: pre.reshape([rows * width]), rows: encodeBatchTopK(pre, k) };
      });
      const sorted = [...(read.get("pre")?.values ?? [])].toSorted((a, b) => b - a);
      const values = read.get("rows.values")?.values ?? [];
      const kept = [...values].toSorted((a, b) => b - a).slice(0, rows * k);
      expect(kept).toEqual(sorted.slice(0, rows * k).map((value) => Math.max(value, 0)));
      const counts = [...(read.get("rows.counts")?.values ?? [])];
      expect(counts.reduce((total, count) => total + count, 0)).toBe(rows * k);
    }
  });

  it("rows tell whether they overflowed", async () => {
    const { device } = suite;
    using pre = device.tensor([5, 4, 3, 0, 9, 0, 0, 0, 0, 0, 0, 0], [3, 4]);
    const full = encodeBatchTopK(pre, 4 / 3);
    const cut = encodeBatchTopK(pre, 4 / 3, { capacity: 1 });
    expect(await full.overflow()).toBeNull();
    await full.requireComplete();
    expect(await cut.overflow()).toEqual({ rows: 1, entries: 2, capacityNeeded: 3 });
    await expect(cut.requireComplete()).rejects.toMatchObject({
      code: "SPARSE_OVERFLOW",
      message: expect.stringMatching(/1 of 3 sparse rows had more than 1 entries and lost 2/),
    });
    full.dispose();
    cut.dispose();
  });

  it("encodeJumpRelu with one threshold for all latents is that of equal thresholds", async () => {
    await agree(suite, 57, exact, (inputs) => {
      const pre = inputs.normal([5, 31]);
      const one = encodeJumpRelu(pre, 0.25, { bandwidth: 0.1 });
      const many = encodeJumpRelu(pre, inputs.device.full([31], 0.25), { bandwidth: 0.1 });
      return {
        one: sparseToDense(one.rows),
        many: sparseToDense(many.rows),
        l0: one.l0,
        difference: sub(one.l0, many.l0),
      };
    });
  });

  it("sparseGather, sparseRowSum and sparseSmallest agree with the reference", async () => {
    await holds(sparseInput, ({ seed, rows, width, capacity }) =>
      agree(suite, seed, sumTolerance(capacity), (inputs) => {
        const sparse = inputs.sparseRows(rows, width, capacity);
        return {
          gathered: liveEntries(sparse, sparseGather(sparse, inputs.normal([rows, width]))),
          sums: sparseRowSum(sparse),
          smallest: sparseSmallest(sparse),
        };
      }),
    );
  });

  it("sparseSmallest of nothing is infinity", async () => {
    const read = await readAll(suite.device, 58, (inputs) => ({
      none: sparseSmallest(encodeTopK(inputs.device.full([2, 3], -1), 2)),
    }));
    expect(read.get("none")?.values[0]).toBe(Number.POSITIVE_INFINITY);
  });

  it("clipRowNorms agrees with the reference and bounds norms", async () => {
    const input = fc.record({ seed: anySeed, rows: fewSize, columns: someSize });
    await holds(input, ({ seed, rows, columns }) =>
      agree(suite, seed, { rtol: 4e-6, atol: 1e-7 }, (inputs) => {
        const [x, other] = [inputs.normal([rows, columns]), inputs.normal([rows, columns])];
        clipRowNorms(x);
        clipRowNorms(other, 0.5);
        return { x, other };
      }),
    );
    const read = await readAll(suite.device, 59, (inputs) => {
      const x = inputs.of([0.3, 0.4, 3, 4, 0, 0], [3, 2]);
      clipRowNorms(x);
      return { x };
    });
    expect(read.get("x")?.values).toBeClose([0.3, 0.4, 0.6, 0.8, 0, 0], { rtol: 1e-6, atol: 0 });
  });

  it("encodeJumpRelu agrees with the reference, also when rows overflow", async () => {
    const input = fc.record({
      seed: anySeed,
      rows: fewSize,
      width: someSize,
      room: fc.constantFrom(0, 2, 1000),
      bandwidth: fc.constantFrom(0, 0.2, 2),
    });
    await holds(
      input,
      ({ seed, rows, width, room, bandwidth }) =>
        agree(suite, seed, exact, (inputs) => {
          const threshold = inputs.uniform([width], 0.1, 1.5);
          const encoded = encodeJumpRelu(inputs.normal([rows, width]), threshold, {
            bandwidth,
            capacity: Math.min(room, width),
          });
          return { rows: encoded.rows, pre: liveEntries(encoded.rows, encoded.preActivations) };
        }),
      50,
    );
  });

  it("encodeJumpRelu fires strictly above the threshold and keeps the open window around it", async () => {
    const read = await readAll(suite.device, 51, (inputs) => {
      const pre = inputs.of([1.25, 0.75, 1, 1.0625, 0.9375, 3, -1, Number.NaN], [1, 8]);
      const encoded = encodeJumpRelu(pre, inputs.device.full([8], 1), { bandwidth: 0.5 });
      return { rows: encoded.rows, pre: liveEntries(encoded.rows, encoded.preActivations) };
    });
    expect([...(read.get("rows.counts")?.values ?? [])]).toEqual([5]);
    expect([...(read.get("rows.indices")?.values ?? [])].slice(0, 5)).toEqual([0, 2, 3, 4, 5]);
    expect([...(read.get("rows.values")?.values ?? [])].slice(0, 5)).toEqual([
      1.25, 0, 1.0625, 0, 3,
    ]);
    expect([...(read.get("pre.values")?.values ?? [])].slice(0, 5)).toEqual([
      1.25, 1, 1.0625, 0.9375, 3,
    ]);
  });

  it("sparseDecode agrees with the reference, with and without bias", async () => {
    await holds(
      sparseInput,
      ({ seed, rows, width, capacity, columns }) =>
        agree(suite, seed, sumTolerance(capacity), (inputs) => {
          const sparse = inputs.sparseRows(rows, width, capacity);
          const weight = inputs.normal([width, columns]);
          return {
            plain: sparseDecode(sparse, weight, null),
            biased: sparseDecode(sparse, weight, inputs.normal([columns])),
          };
        }),
      40,
    );
  });

  it("sparseDecode equals the dense product", async () => {
    const read = await readAll(suite.device, 52, (inputs) => {
      const sparse = inputs.sparseRows(9, 33, 12);
      const weight = inputs.normal([33, 21]);
      return {
        sparse: sparseDecode(sparse, weight, null),
        dense: matmul(sparseToDense(sparse), weight),
      };
    });
    expect(read.get("sparse")?.values).toBeClose(read.get("dense")?.values ?? [], sumTolerance(12));
  });

  it("sparseDot agrees with the reference", async () => {
    await holds(
      sparseInput,
      ({ seed, rows, width, capacity, columns }) =>
        agree(suite, seed, sumTolerance(columns), (inputs) => {
          const sparse = inputs.sparseRows(rows, width, capacity);
          const dots = sparseDot(
            sparse,
            inputs.normal([width, columns]),
            inputs.normal([rows, columns]),
          );
          return { dots: liveEntries(sparse, dots) };
        }),
      40,
    );
  });

  it("sparseOuterAdd and sparseScatterAdd agree with the reference and add to what is there", async () => {
    await holds(
      sparseInput,
      ({ seed, rows, width, capacity, columns }) =>
        agree(suite, seed, sumTolerance(rows + 1), (inputs) => {
          const sparse = inputs.sparseRows(rows, width, capacity);
          const [matrix, vector] = [inputs.normal([width, columns]), inputs.normal([width])];
          // NaN beyond the counts, where no kernel may look.
          const coefficients = mul(sparse.values, -1.5);
          sparseOuterAdd(sparse, coefficients, inputs.normal([rows, columns]), matrix);
          sparseScatterAdd(sparse, coefficients, vector);
          return { matrix, vector };
        }),
      40,
    );
  });

  it("sparseOuterAdd equals the dense product and repeats bit for bit", async () => {
    const read = await readAll(suite.device, 53, (inputs) => {
      const sparse = inputs.sparseRows(40, 7, 5);
      const x = inputs.normal([40, 19]);
      const [into, again] = [inputs.device.zeros([7, 19]), inputs.device.zeros([7, 19])];
      sparseOuterAdd(sparse, sparse.values, x, into);
      sparseOuterAdd(sparse, sparse.values, x, again);
      return { into, again, dense: matmul(sparseToDense(sparse), x, { transposeA: true }) };
    });
    expect(read.get("into")?.values).toBeClose(read.get("dense")?.values ?? [], sumTolerance(40));
    expect(read.get("again")).toEqual(read.get("into"));
  });

  it("counts, L0 and the dense form agree with the reference", async () => {
    await holds(sparseInput, ({ seed, rows, width, capacity }) =>
      agree(suite, seed, exact, (inputs) => {
        const sparse = inputs.sparseRows(rows, width, capacity);
        const counts = inputs.integers([width], 100);
        sparseCountFiring(sparse, counts);
        return { counts, l0: sparseRowL0(sparse), dense: sparseToDense(sparse) };
      }),
    );
  });

  it("operators use only what a row that overflowed had room for", async () => {
    await agree(suite, 54, sumTolerance(16), (inputs) => {
      const pre = inputs.uniform([3, 31], 0.5, 2);
      const { rows } = encodeJumpRelu(pre, inputs.device.zeros([31]), {
        bandwidth: 0,
        capacity: 5,
      });
      const [weight, x] = [inputs.normal([31, 17]), inputs.normal([3, 17])];
      const [matrix, vector, firing] = [
        inputs.device.zeros([31, 17]),
        inputs.device.zeros([31]),
        inputs.device.zeros([31], "i32"),
      ];
      sparseOuterAdd(rows, rows.values, x, matrix);
      sparseScatterAdd(rows, rows.values, vector);
      sparseCountFiring(rows, firing);
      return {
        rows,
        matrix,
        vector,
        firing,
        decoded: sparseDecode(rows, weight, null),
        dots: sparseDot(rows, weight, x),
        l0: sparseRowL0(rows),
        dense: sparseToDense(rows),
      };
    });
  });
}
