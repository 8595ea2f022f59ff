import { createReferenceBackend, Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { blockRowsFor, rowBlocks, trainingBlockRowsFor } from "./blocks.ts";
import { parseSaeConfig } from "./config.ts";
import { Sae } from "./sae.ts";
import { exampleSae } from "./testing/example-sae.ts";
import { identitySae } from "./testing/identity-sae.ts";

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

describe("Sae", () => {
  it("fires strictly above the threshold, and TopK keeps at most k positive latents", async () => {
    const one = {
      encoderRows: Float32Array.of(1, 1),
      decoder: Float32Array.of(1, 1),
      encoderBias: new Float32Array(2),
      decoderBias: new Float32Array(1),
    };
    using jump = Sae.fromWeights(
      device,
      { architecture: "jumprelu", dIn: 1, dSae: 2 },
      { ...one, threshold: Float32Array.of(0.5, 2) },
    );
    using x = device.tensor([0.5, 1, 3, -1], [4, 1]);
    using jumped = device.scope(() => sparseToDense(jump.encode(x)));
    expect(Array.from(await jumped.floats())).toEqual([0, 0, 1, 0, 3, 3, 0, 0]);
    using top = Sae.fromWeights(
      device,
      { architecture: "topk", dIn: 1, dSae: 2, k: 1 },
      { ...one, encoderBias: Float32Array.of(0, 0.25), threshold: null },
    );
    using kept = device.scope(() => sparseToDense(top.encode(x)));
    expect(Array.from(await kept.floats())).toEqual([0, 0.75, 0, 1.25, 0, 3.25, 0, 0]);
  });

  it("reconstructs the same whether in one block or in many", async () => {
    using sae = identitySae(device, 3);
    const rows = 2500;
    expect(rowBlocks(rows, blockRowsFor(6)).length).toBeGreaterThan(1);
    const data = Float32Array.from({ length: rows * 3 }, (_, index) => Math.sin(index));
    using x = device.tensor(data, [rows, 3]);
    using out = sae.reconstruct(x);
    expect(await out.floats()).toEqual(data);
    using none = device.zeros([0, 3]);
    using nothing = sae.reconstruct(none);
    expect(nothing.shape).toEqual([0, 3]);
  });

  it("has an identity of what it computes: not of metadata, but of every weight and of k", async () => {
    using sae = exampleSae(device, "topk");
    const weights = await sae.weights();
    const identityOf = async (config: object, changed: object = {}): Promise<string> => {
      using other = Sae.fromWeights(device, parseSaeConfig({ ...sae.config, ...config }), {
        ...weights,
        ...changed,
      });
      return await other.identity();
    };
    const identity = await sae.identity();
    expect(identity).toMatch(/^[0-9a-f]{64}$/u);
    expect(await identityOf({ metadata: { modelName: "another" } })).toBe(identity);
    const others = await Promise.all([
      identityOf({ k: 6 }),
      identityOf({ applyBDecToInput: true }),
      ...(["encoderRows", "decoder", "encoderBias", "decoderBias"] as const).map((name) =>
        identityOf(
          {},
          { [name]: weights[name].map((value, index) => (index === 3 ? value + 1 : value)) },
        ),
      ),
    ]);
    expect(new Set([identity, ...others]).size).toBe(7);
  });

  it("refuses weights that are not of its configuration", () => {
    const weights = {
      encoderRows: new Float32Array(6),
      decoder: new Float32Array(6),
      encoderBias: new Float32Array(2),
      decoderBias: new Float32Array(3),
      threshold: null,
    };
    expect(() =>
      Sae.fromWeights(device, { architecture: "topk", dIn: 3, dSae: 2, k: 3 }, weights),
    ).toThrow(/k is 3.*only 2 latents/su);
    const tensors = device.scope(() => ({
      encoderRows: device.zeros([2, 3]),
      decoder: device.zeros([3, 2]),
      encoderBias: device.zeros([2]),
      decoderBias: device.zeros([3]),
      threshold: null,
    }));
    expect(() => new Sae(device, { architecture: "topk", dIn: 3, dSae: 2, k: 1 }, tensors)).toThrow(
      /decoder has shape \[3, 2\].*\[2, 3\]/su,
    );
    expect(
      () =>
        new Sae(
          device,
          { architecture: "jumprelu", dIn: 3, dSae: 2 },
          { ...tensors, decoder: tensors.encoderRows },
        ),
    ).toThrow(/needs a threshold/u);
    for (const tensor of Object.values(tensors)) tensor?.dispose();
  });

  it("cuts blocks to about eight million pre-activations", () => {
    expect([64, 16_384, 131_072, 2 ** 20].map(blockRowsFor)).toEqual([1024, 512, 64, 16]);
    const sizes = [64, 16_384, 131_072, 2 ** 22];
    expect(sizes.map((size) => trainingBlockRowsFor(size, false))).toEqual([4096, 2048, 256, 16]);
    expect(trainingBlockRowsFor(16_384, true)).toBe(512);
    expect(rowBlocks(5, 2)).toEqual([
      [0, 2],
      [2, 4],
      [4, 5],
    ]);
    expect(rowBlocks(0, 2)).toEqual([]);
  });
});
