import { arrayBatches } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import type { Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareDirections } from "../evaluate/compare-directions.ts";
import { toyWorld } from "../testing/toy-world.ts";
import { parseTrainConfig } from "./config.ts";
import { trainSae } from "./train-sae.ts";

/**
 * 5 parents with 3 children each: a child fires with probability 0.15 where its parent does, and never without it. Matryoshka's first
 * prefix has room for the parents alone, and must explain as much as it can by itself.
 */
describe("planted parents and children", () => {
  const [dIn, parents, children, rows, held] = [16, 5, 3, 16_384, 1024];
  const features = parents * (1 + children);
  // Parents first. Only the directions of that world are used.
  const { directions } = toyWorld({ features, dIn, density: 0, rows: 1, seed: 3 });
  const random = new Random(4);
  const data = new Float32Array((rows + held) * dIn);
  for (let row = 0; row < rows + held; row++) {
    const write = (feature: number): void => {
      const magnitude = Math.abs(1 + 0.25 * random.normal());
      for (let column = 0; column < dIn; column++)
        data[row * dIn + column] =
          (data[row * dIn + column] ?? 0) + magnitude * (directions[feature * dIn + column] ?? 0);
    };
    for (let parent = 0; parent < parents; parent++) {
      if (random.uniform() >= 0.15) continue;
      write(parent);
      for (let child = 0; child < children; child++)
        if (random.uniform() < 0.15) write(parents + parent * children + child);
    }
  }
  let device: Device;
  beforeAll(async () => {
    device = await openCpuDevice({ matmul: "wasm" });
  });
  afterAll(() => {
    expectNoLeaks(device);
    device.dispose();
  });

  /** How well the first five latents are the parents. */
  async function parentsFound(own: object): Promise<number> {
    const { sae } = await trainSae({
      device,
      config: parseTrainConfig({
        dSae: 30,
        batchSize: 256,
        steps: 600,
        learningRate: 3e-3,
        learningRateWarmup: 50,
        learningRateDecay: 0.2,
        adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        decoderBias: "zero",
        deadAfterTokens: 20_000,
        evaluateEvery: 600,
        checkpointEvery: 600,
        k: 1.1,
        auxiliaryWeight: 1 / 32,
        ...own,
      }),
      batches: arrayBatches(data.subarray(0, rows * dIn), dIn, 1),
      heldOut: data.slice(rows * dIn),
    });
    const decoder = await sae.decoder.floats();
    sae.dispose();
    const found = await compareDirections(
      { rows: decoder.subarray(0, parents * dIn), width: dIn },
      { rows: directions.subarray(0, parents * dIn), width: dIn },
      { device, absolute: true, resamples: 0 },
    );
    return found.meanMatchedCosine;
  }

  it("has Matryoshka's first prefix learn the parents, where BatchTopK's order means nothing", async () => {
    const nested = await parentsFound({
      architecture: "matryoshka_batchtopk",
      widths: [parents, 30],
      prefixLoss: "sum",
    });
    const flat = await parentsFound({ architecture: "batchtopk" });
    expect(nested).toBeGreaterThan(0.95);
    expect(flat).toBeLessThan(0.75);
  });
});
