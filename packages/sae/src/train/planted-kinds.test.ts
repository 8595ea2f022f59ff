import { arrayBatches } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { type Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { meanFiringF1, meanMatchedCosine, toyWorld } from "../testing/toy-world.ts";
import { parseTrainConfig } from "./config.ts";
import { trainSae } from "./train-sae.ts";

/**
 * 20 features that fire independently with p = 0.05 in 16 dimensions, 30 latents: which directions an SAE finds (MCC), whether its
 * latents fire where the features do (F1), and how many fire (L0), all on held-out activations.
 */
describe("a planted world of 20 features", () => {
  const [dIn, features, rows, held] = [16, 20, 32_768, 2048];
  const world = toyWorld({ features, dIn, density: 0.05, rows: rows + held, seed: 0 });
  const heldOut = world.data.slice(rows * dIn);
  let device: Device;

  beforeAll(async () => {
    // Matrices this small are no work for a BLAS library and its threads.
    device = await openCpuDevice({ matmul: "wasm" });
  });
  afterAll(() => {
    expectNoLeaks(device);
    device.dispose();
  });

  const steps = 700;

  async function train(own: object): Promise<{
    readonly mcc: number;
    readonly f1: number;
    readonly l0: number;
    readonly fvu: number;
  }> {
    const { sae, history } = await trainSae({
      device,
      config: parseTrainConfig({
        dSae: 30,
        batchSize: 256,
        steps,
        learningRate: 3e-3,
        learningRateWarmup: 100,
        learningRateDecay: 0.2,
        adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        decoderBias: "zero",
        deadAfterTokens: 20_000,
        evaluateEvery: steps,
        checkpointEvery: steps,
        ...own,
      }),
      batches: arrayBatches(world.data.subarray(0, rows * dIn), dIn, 1),
      heldOut,
    });
    const decoder = await sae.decoder.floats();
    const latents = device.scope(() =>
      sparseToDense(sae.encode(device.tensor(heldOut, [held, dIn]))),
    );
    const fired = world.fired.subarray(rows * features);
    const last = history.points.at(-1);
    const found = {
      mcc: meanMatchedCosine(decoder, world.directions, dIn),
      f1: meanFiringF1(decoder, await latents.floats(), { ...world, fired }),
      l0: (last?.heldOutL0 ?? 0) / world.trueL0,
      fvu: last?.heldOutFvu ?? 1,
    };
    latents.dispose();
    sae.dispose();
    return found;
  }

  const penalty = { sparsity: 0.6, sparsityWarmup: 200 };
  const batch = { k: 1, auxiliaryWeight: 1 / 32 };

  // What each reaches, with room for other rounding; a penalty shrinks what it keeps, so L1 has the larger FVU.
  it.each([
    {
      own: { ...penalty, architecture: "standard", decoderNorm: "unit" },
      least: { mcc: 0.97, f1: 0.86 },
      most: { l0: 1.7, fvu: 0.16 },
    },
    {
      own: { ...penalty, architecture: "standard", decoderNorm: "free", gradientClip: 1 },
      least: { mcc: 0.98, f1: 0.91 },
      most: { l0: 1.65, fvu: 0.15 },
    },
    {
      own: { ...penalty, architecture: "p_anneal", annealStart: 200, annealEnd: 560 },
      least: { mcc: 0.97, f1: 0.9 },
      most: { l0: 1.25, fvu: 0.08 },
    },
    {
      own: { ...penalty, sparsity: 1, architecture: "gated" },
      least: { mcc: 0.91, f1: 0.86 },
      most: { l0: 1.4, fvu: 0.075 },
    },
    {
      own: {
        ...penalty,
        sparsity: 0.3,
        architecture: "jumprelu_tanh",
        bandwidth: 0.1,
        initialThreshold: 0.05,
        thresholdForm: "raw",
        preActivationWeight: 3e-6,
        gradientClip: 1,
      },
      least: { mcc: 0.96, f1: 0.84 },
      most: { l0: 1.1, fvu: 0.085 },
    },
    {
      own: { ...batch, architecture: "batchtopk" },
      least: { mcc: 0.94, f1: 0.89 },
      most: { l0: 1.05, fvu: 0.055 },
    },
    {
      own: { ...batch, architecture: "matryoshka_batchtopk", widths: [15, 30] },
      least: { mcc: 0.94, f1: 0.84 },
      most: { l0: 1.05, fvu: 0.08 },
    },
  ])("$own.architecture $own.decoderNorm finds them", async ({ own, least, most }) => {
    const found = await train(own);
    expect(found.mcc).toBeGreaterThan(least.mcc);
    expect(found.f1).toBeGreaterThan(least.f1);
    expect(found.l0).toBeLessThan(most.l0);
    expect(found.l0).toBeGreaterThan(0.85);
    expect(found.fvu).toBeLessThan(most.fvu);
  });

  it("is not found without a penalty, so the thresholds can fail", async () => {
    const found = await train({
      ...penalty,
      sparsity: 0,
      architecture: "standard",
      decoderNorm: "unit",
    });
    expect(found.mcc).toBeLessThan(0.8);
    expect(found.f1).toBeLessThan(0.5);
    expect(found.l0).toBeGreaterThan(4);
  });
});
