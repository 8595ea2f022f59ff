import { decodeStored, Random, toF16Bits } from "@latentkit/core";
import { linear } from "@latentkit/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCpuDevice } from "../open.ts";

const rows = 3;
/** Bytes of a block of 32, and where its whole numbers begin. */
const layouts = { q8_0: { size: 34, numbers: 2 }, q4_1: { size: 20, numbers: 4 } } as const;

/** A matrix of random whole numbers, of which the first of each block is 0: nothing of the vector's number there may be seen. */
function bytesOf(random: Random, format: keyof typeof layouts, blocks: number): Uint8Array {
  const { size, numbers } = layouts[format];
  const bytes = Uint8Array.from({ length: rows * blocks * size }, () => random.integer(256));
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += size) {
    view.setUint16(at, toF16Bits(0.01 + random.uniform()), true);
    if (format === "q4_1") view.setUint16(at + 2, 0, true);
    view.setUint8(at + numbers, format === "q4_1" ? view.getUint8(at + numbers) & 0xf0 : 0);
  }
  return bytes;
}

describe("products of stored weights with f32 activations", () => {
  it.each(["q8_0", "q4_1"] as const)(
    "keep 30 bits below a block's largest number, whatever its size: %s",
    async (format) => {
      using device = await openCpuDevice({ matmul: "wasm", threads: 1 });
      await fc.assert(
        fc.asyncProperty(
          fc.nat(),
          fc.integer({ min: 1, max: 9 }),
          fc.constantFrom(1, 1_000, 1e6),
          fc.constantFrom(1e-25, 1, 1e20),
          async (seed, blocks, outlier, scale) => {
            const random = new Random(seed);
            const columns = 32 * blocks;
            const bytes = bytesOf(random, format, blocks);
            const weights = new Float32Array(rows * columns);
            decodeStored(bytes, format, weights);
            const x = random.fillNormal(new Float32Array(columns), scale);
            for (let at = 0; at < columns; at += 32) x[at] = outlier * scale * (at % 64 ? -1 : 1);
            using weight = device.storedWeight(bytes, [rows, columns], format);
            using vector = device.tensor(x, [columns]);
            using out = linear(vector, weight);
            const values = await out.floats();
            for (const [row, value] of values.entries()) {
              const { product, bound } = boundedProduct(x, weights, row * columns);
              expect(Math.abs(value - product), `row ${row}`).toBeLessThanOrEqual(bound);
            }
          },
        ),
        { numRuns: 60 },
      );
    },
  );
});

/** The product in f64, and how far f32 sums of a vector that lost its lowest bits may be from it. */
function boundedProduct(x: Float32Array, weights: Float32Array, start: number) {
  let [product, size, lost] = [0, 0, 0];
  for (let block = 0; block < x.length; block += 32) {
    const part = x.subarray(block, block + 32);
    const largest = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [at, value] of part.entries()) {
      const weight = weights[start + block + at] ?? Number.NaN;
      product += value * weight;
      size += Math.abs(value * weight);
      lost += 2 ** -30 * largest * Math.abs(weight);
    }
  }
  return { product, bound: lost + 16 * 2 ** -24 * size };
}
