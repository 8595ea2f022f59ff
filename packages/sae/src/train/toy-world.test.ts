import { arrayBatches } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import type { Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareDirections } from "../evaluate/compare-directions.ts";
import { toyWorld } from "../testing/toy-world.ts";
import { parseTrainConfig } from "./config.ts";
import type { TrainingPoint } from "./history.ts";
import { trainSae } from "./train-sae.ts";

/**
 * 64 features that fire independently with p = 0.05 in 32 dimensions, 64 latents: what the recipe must recover, and what the paper's
 * own values cannot in so few steps.
 */
describe("a planted world", () => {
  const held = 4096;
  const dIn = 32;
  const world = toyWorld({ features: 64, dIn, density: 0.05, rows: 65_536 + held, seed: 0 });
  let device: Device;

  beforeAll(async () => {
    // Matrices this small are no work for a BLAS library and its threads.
    device = await openCpuDevice({ matmul: "wasm" });
  });
  afterAll(() => {
    expectNoLeaks(device);
    device.dispose();
  });

  async function train(
    steps: number,
    values: {
      readonly learningRate: number;
      readonly epsilon: number;
      readonly thresholdForm: "log" | "raw";
    },
  ): Promise<{ readonly recovered: number; readonly last: TrainingPoint | undefined }> {
    const config = parseTrainConfig({
      architecture: "jumprelu",
      dSae: 64,
      batchSize: 256,
      steps,
      learningRate: values.learningRate,
      learningRateWarmup: 250,
      adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
      decoderBias: "zero",
      deadAfterTokens: 100_000,
      evaluateEvery: steps,
      checkpointEvery: steps,
      sparsity: 0.05,
      sparsityWarmup: 350,
      bandwidth: values.epsilon,
      initialThreshold: values.epsilon,
      thresholdForm: values.thresholdForm,
    });
    const { sae, history } = await trainSae({
      device,
      config,
      batches: arrayBatches(world.data.subarray(0, 65_536 * dIn), dIn, 1),
      heldOut: world.data.subarray(65_536 * dIn),
    });
    const found = await compareDirections(
      { rows: await sae.decoder.floats(), width: dIn },
      { rows: world.directions, width: dIn },
      { device, absolute: true, resamples: 0 },
    );
    sae.dispose();
    return { recovered: found.meanMatchedCosine, last: history.points.at(-1) };
  }

  it("is recovered by raw theta at a short run's values", async () => {
    const { recovered, last } = await train(3500, {
      learningRate: 1e-3,
      epsilon: 0.1,
      thresholdForm: "raw",
    });
    expect(recovered).toBeGreaterThan(0.85);
    expect(Math.abs((last?.heldOutL0 ?? 0) / world.trueL0 - 1)).toBeLessThan(0.15);
    expect(last?.heldOutFvu).toBeLessThan(0.2);
  });

  it("is not by log theta at the paper's values: theta cannot move, and the test can fail", async () => {
    const { recovered, last } = await train(2000, {
      learningRate: 7e-5,
      epsilon: 0.001,
      thresholdForm: "log",
    });
    expect(recovered).toBeLessThan(0.6);
    expect(last?.heldOutL0).toBeGreaterThan(5 * world.trueL0);
  });
});
