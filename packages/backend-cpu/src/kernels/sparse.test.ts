import { Random } from "@latentkit/core";
import {
  clipRowNorms,
  clone,
  createReferenceBackend,
  Device,
  encodeBatchTopK,
  encodeJumpRelu,
  encodeTopK,
  jumpReluDense,
  jumpReluDenseGradient,
  jumpReluGradient,
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sparseGather,
  sparseOuterAdd,
  sparseRowL0,
  sparseScatterAdd,
  sparseSmallest,
  sparseToDense,
} from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCpuBackend } from "../backend.ts";
import { openCpuDevice } from "../open.ts";

registerMatchers(expect);

let device: Device;
const reference = new Device(createReferenceBackend());
beforeAll(async () => {
  device = await openCpuDevice();
});
afterAll(() => {
  expect(device.memory().liveBytes).toBe(0);
  device.dispose();
});

/** `count` numbers of which some are equal, so that ties are decided. */
function coarse(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => Math.round(random.normal() * 50) / 50);
}

describe("products of sparse rows take three ways, and all agree with f64", () => {
  // Entries: fewer than latents; more; so many that both providers go through dense matrices.
  it.each([
    ["row by row", 40, 2048, 8, 20],
    ["grouped by latent", 300, 1024, 20, 20],
    ["grouped by latent, odd columns", 130, 257, 9, 7],
    ["grouped by latent, several strips", 300, 257, 12, 100],
    ["grouped by latent, several blocks of rows", 4300, 70, 9, 33],
    ["dense", 300, 1024, 500, 20],
    ["dense, odd columns", 700, 257, 150, 7],
  ])("%s", async (_, rows, width, k, columns) => {
    const [pre, weight, x, bias] = [
      coarse(rows * width, 1),
      coarse(width * columns, 2),
      coarse(rows * columns, 3),
      coarse(columns, 4),
    ];
    const run = async (on: Device): Promise<Float32Array[]> => {
      const tensors = on.scope(() => {
        const sparse = encodeTopK(on.tensor(pre, [rows, width]), k);
        const matrix = on.tensor(weight, [width, columns]);
        const input = on.tensor(x, [rows, columns]);
        const gradient = on.full([width, columns], 0.25);
        sparseOuterAdd(sparse, sparse.values, input, gradient);
        return [
          sparseDecode(sparse, matrix, on.tensor(bias, [columns])),
          sparseDecode(sparse, matrix, null),
          sparseDot(sparse, matrix, input),
          gradient,
        ];
      });
      const results = await Promise.all(tensors.map((tensor) => tensor.floats()));
      for (const tensor of tensors) tensor.dispose();
      return results;
    };
    const [given, expected] = [await run(device), await run(reference)];
    for (const [index, result] of given.entries()) {
      // Sums of up to 700 terms of size 1: 700 roundings of 2^-24 relative to the sum of magnitudes.
      expect(result).toBeClose(expected[index] ?? [], { rtol: 2e-5, atol: 2e-3 });
    }
  });

  it("ignores entries of value 0, which are kept for their gradient", async () => {
    const [rows, width, columns] = [200, 600, 5];
    const pre = coarse(rows * width, 9);
    const run = async (on: Device): Promise<Float32Array> => {
      const out = on.scope(() => {
        const { rows: sparse } = encodeJumpRelu(
          on.tensor(pre, [rows, width]),
          on.full([width], 1.4),
          { bandwidth: 0.5 },
        );
        return sparseDecode(sparse, on.tensor(coarse(width * columns, 5), [width, columns]), null);
      });
      const values = await out.floats();
      out.dispose();
      return values;
    };
    expect(await run(device)).toBeClose(await run(reference), { rtol: 1e-5, atol: 1e-4 });
  });
});

describe("results do not depend on the number of threads", () => {
  const shapes = [
    ["row by row", 200, 8192, 8, 200],
    ["grouped by latent", 2000, 1024, 20, 200],
    ["dense", 700, 1024, 500, 64],
  ] as const;

  it.each(shapes)("%s", async (_, rows, width, k, columns) => {
    const data = {
      pre: coarse(rows * width, 31),
      weight: coarse(width * columns, 32),
      x: coarse(rows * columns, 33),
    };
    const run = async (threads: number): Promise<readonly Uint8Array[]> => {
      const on = new Device(await createCpuBackend({ library: null, threads }));
      const tensors = on.scope(() => {
        const [pre, weight, x] = [
          on.tensor(data.pre, [rows, width]),
          on.tensor(data.weight, [width, columns]),
          on.tensor(data.x, [rows, columns]),
        ];
        const [threshold, bandwidth] = [on.full([width], 0.5), 0.4];
        const top = encodeTopK(pre, k);
        const batch = encodeBatchTopK(pre, k);
        const jump = encodeJumpRelu(pre, threshold, { bandwidth });
        const gradient = on.full([width, columns], 0.25);
        const [bias, firing] = [on.full([width], 0.1), on.zeros([width], "i32")];
        sparseOuterAdd(top, top.values, x, gradient);
        sparseScatterAdd(top, top.values, bias);
        sparseCountFiring(top, firing);
        const dThreshold = on.zeros([width]);
        const dPre = jumpReluGradient({
          ...jump,
          threshold,
          bandwidth,
          sparsity: 0.1,
          dL0: on.full([rows], 0.3),
          dValues: sparseDot(jump.rows, weight, x),
          dThreshold,
        });
        const dense = { pre, threshold, bandwidth, sparsity: 0.1, dThreshold: on.zeros([width]) };
        const dValues = on.full([rows, width], 0.5);
        jumpReluDenseGradient({ ...dense, dValues });
        const norms = clone(weight);
        clipRowNorms(norms, 3);
        return [
          sparseDecode(top, weight, null),
          sparseDot(top, weight, x),
          gradient,
          bias,
          firing,
          sparseToDense(batch),
          batch.counts,
          sparseToDense(jump.rows),
          dThreshold,
          sparseToDense(jump.rows.withValues(dPre)),
          sparseRowL0(batch),
          norms,
          jumpReluDense(pre, threshold, firing),
          dValues,
          dense.dThreshold,
          sparseGather(top, pre),
          sparseSmallest(top),
        ];
      });
      const bytes = await Promise.all(tensors.map((tensor) => on.backend.read(tensor.slice)));
      on.dispose();
      return bytes;
    };
    const one = await run(1);
    for (const threads of [2, 3]) {
      const many = await run(threads);
      for (const [index, bytes] of one.entries())
        expect(Buffer.compare(bytes, many[index] ?? new Uint8Array()), `result ${index}`).toBe(0);
    }
  });
});

describe("selection", () => {
  it("keeps exactly the k largest, of equals the first, NaN as -infinity", async () => {
    const element = fc.oneof(
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 1),
      fc.float({ noNaN: true, min: -2, max: 2 }),
    );
    const rows = fc.integer({ min: 1, max: 700 }).chain((width) =>
      fc.record({
        values: fc.array(element, { minLength: width, maxLength: width }),
        k: fc.integer({ min: 1, max: Math.min(width, 40) }),
        allowed: fc.option(
          fc.array(fc.integer({ min: 0, max: 1 }), { minLength: width, maxLength: width }),
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(rows, async ({ values, k, allowed }) => {
        const width = values.length;
        const sparse = device.scope(() =>
          encodeTopK(device.tensor(values, [1, width]), k, {
            allowed: allowed === null ? null : device.tensor(Int32Array.from(allowed), [width]),
          }),
        );
        const order = [...values.keys()]
          .filter((index) => allowed === null || allowed[index] !== 0)
          .toSorted((a, b) => compare(values[b] ?? 0, values[a] ?? 0) || a - b);
        const kept = order.slice(0, k).toSorted((a, b) => a - b);
        const [count = 0] = await sparse.counts.integers();
        expect(count).toBe(kept.length);
        expect([...(await sparse.indices.integers()).subarray(0, count)]).toEqual(kept);
        const found = (await sparse.values.floats()).subarray(0, count);
        expect(found).toBeClose(
          kept.map((index) => Math.max(values[index] ?? 0, 0)),
          { rtol: 0, atol: 1e-7 },
        );
        sparse.dispose();
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    [16_384, 64],
    [16_384, 288],
    [5000, 1],
    [4099, 4099],
  ])("agrees with sorting for rows of %i, k = %i", async (width, k) => {
    const values = coarse(3 * width, width + k);
    const sparse = device.scope(() => encodeTopK(device.tensor(values, [3, width]), k));
    const indices = await sparse.indices.integers();
    for (let row = 0; row < 3; row++) {
      const own = values.subarray(row * width, (row + 1) * width);
      const kept = Int32Array.from(own.keys())
        .sort((a, b) => (own[b] ?? 0) - (own[a] ?? 0) || a - b)
        .subarray(0, k)
        .sort();
      expect(indices.subarray(row * k, (row + 1) * k)).toEqual(kept);
    }
    sparse.dispose();
  });

  it("keeps JumpReLU's entries in order, up to the capacity", async () => {
    const [rows, width] = [5, 1003];
    const pre = coarse(rows * width, 21);
    for (const capacity of [width, 100, 3, 0]) {
      const dense = async (on: Device): Promise<{ counts: Int32Array; dense: Float32Array }> => {
        const parts = on.scope(() =>
          encodeJumpRelu(on.tensor(pre, [rows, width]), on.full([width], 0.5), {
            bandwidth: 0.2,
            capacity,
          }),
        );
        const matrix = sparseToDense(parts.rows);
        const result = { counts: await parts.rows.counts.integers(), dense: await matrix.floats() };
        for (const each of [parts.rows, parts.preActivations, parts.l0, matrix]) each.dispose();
        return result;
      };
      expect(await dense(device)).toEqual(await dense(reference));
    }
  });
});

function compare(a: number, b: number): number {
  const [x, y] = [a, b].map((value) => (Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value));
  return x === y ? 0 : (x ?? 0) > (y ?? 0) ? 1 : -1;
}
