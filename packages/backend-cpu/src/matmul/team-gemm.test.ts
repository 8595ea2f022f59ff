import { Random, sizeOf } from "@latentkit/core";
import { Device, linear, matmul, type Tensor } from "@latentkit/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../backend.ts";
import { reasonToSkipBlas } from "../test-support.ts";
import { rememberedSurvey } from "./choose.ts";
import { tilesOf } from "./team-gemm.ts";

describe("the division of products among threads", () => {
  it("covers everything, in tiles of whole register tiles, none of a chunk too small", () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 60_000 }));
    fc.assert(
      fc.property(size, size, size, fc.integer({ min: 1, max: 40 }), (m, n, k, batch) => {
        const { tileRows, tileColumns, tiles, grain } = tilesOf(m, n, k, batch);
        expect(tileRows % 16).toBe(0);
        expect(tileColumns % 16).toBe(0);
        expect(tiles).toBe(batch * Math.ceil(m / tileRows) * Math.ceil(n / tileColumns));
        expect(grain).toBeGreaterThanOrEqual(1);
        const work = batch * (m * n * k + 8 * (m * n + m * k + n * k));
        if (grain < tiles) expect((work / tiles) * grain).toBeGreaterThan((1 << 21) / 4);
        // A few more than wanted, since sides are halved and rounded.
        expect(tiles / batch).toBeLessThanOrEqual(64);
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  it("leaves small products on one thread, and gives large ones to many", () => {
    const count = (m: number, n: number, k: number, batch = 1): number => {
      const { tiles, grain } = tilesOf(m, n, k, batch);
      return Math.ceil(tiles / grain);
    };
    expect(count(64, 64, 64)).toBe(1);
    expect(count(128, 64, 128)).toBe(1);
    expect(count(1024, 1024, 1024)).toBe(4);
    expect(count(4096, 16_384, 576)).toBe(32);
    // Generation: one row against a vocabulary.
    expect(count(1, 49_152, 576)).toBe(4);
    expect(count(128, 64, 128, 72)).toBeGreaterThan(4);
  });
});

const skip = await reasonToSkipBlas();

describe.each(["wasm", "blas"] as const)("products by %s", (provider) => {
  it.skipIf(provider === "blas" && skip !== null)(
    "have the same bits on one, two and three threads",
    async () => {
      const library = provider === "blas" ? (await rememberedSurvey()).library : null;
      const results: Float32Array[][] = [];
      for (const threads of [1, 2, 3]) {
        using device = new Device(await createCpuBackend({ library, threads }));
        // Twice: chunks go to whichever thread is free.
        results.push(await products(device), await products(device));
      }
      const [first, ...others] = results;
      for (const other of others) expect(other).toEqual(first);
    },
  );
});

async function products(device: Device): Promise<Float32Array[]> {
  const random = new Random(11);
  const normal = (...shape: number[]): Tensor =>
    device.tensor(random.fillNormal(new Float32Array(sizeOf(shape))), shape);
  const outputs = device.scope(() => [
    matmul(normal(300, 310), normal(310, 290)),
    matmul(normal(300, 310), normal(300, 290), { transposeA: true }),
    linear(normal(517, 65), normal(1030, 65), normal(1030), { activation: "gelu" }),
    linear(normal(1, 577), normal(5003, 577), normal(5003), { activation: "relu" }),
    linear(normal(5, 577), normal(3001, 577)),
    matmul(normal(1, 577), normal(577, 5003)),
    matmul(normal(5003, 577), normal(577)),
    matmul(normal(37, 66, 65), normal(37, 65, 64)),
    matmul(normal(700, 310), normal(700, 31), { transposeA: true }),
  ]);
  const values = await Promise.all(outputs.map((output) => output.floats()));
  for (const output of outputs) output.dispose();
  return values;
}
