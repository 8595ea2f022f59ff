import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { fc, test } from "@fast-check/vitest";
import { afterAll, describe, expect, it } from "vitest";
import { randomStep } from "../testing/random-parameters.ts";
import {
  referenceKind,
  type ReferenceKindStep,
  type ReferenceValues,
} from "../testing/reference-kinds.ts";
import type { ReferenceParameters } from "../testing/reference-step.ts";
import { gradientsOf, type HarnessGradients } from "../testing/step-harness.ts";
import { parseTrainConfig, type TrainConfig } from "../train/config.ts";
import { annealsBefore, pAfter } from "./p-anneal.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

const run = {
  batchSize: 8,
  steps: 100,
  learningRate: 1e-3,
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  decoderBias: "zero",
  deadAfterTokens: 10,
  evaluateEvery: 1,
  checkpointEvery: 1,
} as const;
const penalty = { sparsity: 0.3, sparsityWarmup: 0 };
const batch = { k: 2.6, auxiliaryWeight: 1 / 4, auxiliaryK: 2 };

/** Every kind, for 9 latents. */
const kinds: Readonly<Record<string, (dSae: number) => unknown>> = {
  "standard, unit rows": () => ({ ...penalty, architecture: "standard", decoderNorm: "unit" }),
  "standard, free rows": () => ({ ...penalty, architecture: "standard", decoderNorm: "free" }),
  gated: () => ({ ...penalty, architecture: "gated" }),
  // Without the pseudo-derivative to the input, which is no derivative of the loss.
  "jumprelu, tanh": () => ({
    ...penalty,
    architecture: "jumprelu_tanh",
    bandwidth: 0.1,
    initialThreshold: 0.2,
    thresholdForm: "raw",
    gradientToInput: false,
    preActivationWeight: 0.2,
  }),
  // One of 10 changes is done at the step that the tests take.
  "p-anneal": () => ({ ...penalty, architecture: "p_anneal", annealStart: 5, annealEnd: 60 }),
  batchtopk: (dSae) => ({ ...batch, k: Math.min(2.6, dSae), architecture: "batchtopk" }),
  "matryoshka, mean": (dSae) => nested(dSae, "mean"),
  "matryoshka, sum": (dSae) => nested(dSae, "sum"),
};
const names = Object.keys(kinds);

function nested(dSae: number, prefixLoss: "mean" | "sum"): unknown {
  const widths = [...new Set([Math.ceil(dSae / 4), Math.ceil(dSae / 2), dSae])];
  return {
    ...batch,
    k: Math.min(2.6, dSae),
    architecture: "matryoshka_batchtopk",
    widths,
    prefixLoss,
  };
}

function configOf(name: string, dSae: number): TrainConfig {
  const own = kinds[name]?.(dSae);
  return parseTrainConfig({ ...run, dSae, ...(typeof own === "object" ? own : {}) });
}

/** Values of every parameter of a kind, and a batch. Rows of the decoder are far from unit norm where they are free. */
function sample(
  config: TrainConfig,
  sizes: { readonly dIn: number; readonly rows: number; readonly seed: number },
): {
  readonly parameters: ReferenceParameters;
  readonly extras: Readonly<Record<string, Float64Array>>;
  readonly values: ReferenceValues;
  readonly x: Float64Array;
} {
  const { dSae } = config;
  const tanh = config.architecture === "jumprelu_tanh";
  const { parameters, x } = randomStep({ ...sizes, dSae, threshold: tanh ? 0.2 : null });
  const free = tanh || (config.architecture === "standard" && config.decoderNorm === "free");
  const decoder = parameters.decoder.map((value, at) =>
    free ? Math.fround(value * (0.5 + (Math.floor(at / sizes.dIn) % 3) / 2)) : value,
  );
  const other = randomStep({ ...sizes, seed: sizes.seed + 5000, dSae, threshold: null });
  const extras: Readonly<Record<string, Float64Array>> =
    config.architecture === "gated"
      ? {
          gate_bias: other.parameters.encoderBias,
          magnitude_scale: other.parameters.encoderBias.map((value) => Math.fround(2 * value)),
        }
      : {};
  const { threshold, ...named } = { ...parameters, decoder };
  return {
    parameters: { ...parameters, decoder },
    extras,
    values: { ...named, ...extras, ...(threshold === null ? {} : { threshold }) },
    x,
  };
}

/** All gradients but theta's, which is a pseudo-gradient: PyTorch's goldens check that. */
function byName(result: HarnessGradients): Readonly<Record<string, Float32Array>> {
  const { threshold: _, skip, ...autoencoder } = result.gradients;
  const gradients = { ...autoencoder, ...(skip.length === 0 ? {} : { skip }) };
  return { ...gradients, ...result.extras };
}

describe("gradients against finite differences of the f64 loss", () => {
  it.each([
    ...names.map((name) => ({ name, dead: null })),
    ...names
      .filter((name) => name.startsWith("batch") || name.startsWith("matr"))
      .map((name) => ({ name, dead: Uint8Array.from([0, 1, 1, 0, 1, 0, 0, 1, 0]) })),
  ])("$name (dead latents: $dead)", async ({ name, dead }) => {
    const sizes = { dIn: 5, rows: 8, seed: 11 };
    const config = configOf(name, 9);
    const { parameters, extras, values, x } = sample(config, sizes);
    const base: ReferenceKindStep = {
      config,
      x,
      dIn: sizes.dIn,
      variance: 0.8,
      // 0.3, times what p-annealing remembers.
      sparsity: config.architecture === "p_anneal" ? 0.45 : 0.3,
      p: config.architecture === "p_anneal" ? pAfter(config, 1) : 1,
      dead,
    };
    const start = referenceKind(values, base);
    const step = { ...base, frozen: { values, residual: start.residual } };
    const result = await gradientsOf({
      device,
      config,
      parameters,
      extras,
      x,
      variance: 0.8,
      sparsity: 0.3,
      dead,
      step: 8,
      memory: { factor: [1.5] },
    });
    expect(result.loss).toBeCloseTo(start.loss, 5);
    expect(result.auxiliaryLoss > 0).toBe(
      dead !== null || ["gated", "jumprelu_tanh"].includes(config.architecture),
    );
    const ours = byName(result);
    const { threshold: _theta, ...differentiable } = values;
    expect(Object.keys(ours).sort()).toEqual(Object.keys(differentiable).sort());
    for (const [parameter, own] of Object.entries(differentiable)) {
      const expected = own.map((_, index) => {
        const at = (change: number): number => {
          const moved = own.slice();
          moved[index] = (moved[index] ?? 0) + change;
          const there = referenceKind({ ...values, [parameter]: moved }, step);
          // A step across a kink would make the difference meaningless.
          expect(there.active).toBe(start.active);
          return there.loss;
        };
        return (at(1e-6) - at(-1e-6)) / 2e-6;
      });
      // f32 gradients of sums over a few dozen terms of order 1 against differences good to about 1e-9.
      expect(ours[parameter], parameter).toBeClose(expected, { rtol: 5e-5, atol: 5e-6 });
    }
  });
});

describe("steps", () => {
  const shapes = fc.record({
    dIn: fc.integer({ min: 1, max: 7 }),
    dSae: fc.integer({ min: 1, max: 12 }),
    rows: fc.integer({ min: 1, max: 9 }),
    seed: fc.integer({ min: 0, max: 1000 }),
  });

  test.prop([shapes, fc.constantFrom(...names), fc.integer({ min: 1, max: 10 })], {
    numRuns: 60,
    seed: 1,
  })("do not depend on how a batch is cut into blocks", async (sizes, name, blockRows) => {
    const config = configOf(name, sizes.dSae);
    const { parameters, extras, x } = sample(config, sizes);
    const at = (rows: number): Promise<HarnessGradients> =>
      gradientsOf({ device, config, parameters, extras, x, sparsity: 0.3, blockRows: rows });
    const [whole, cut] = [byName(await at(100)), byName(await at(blockRows))];
    // Sums of at most 100 terms of order 1 in another order; of p-anneal's some are large.
    for (const [parameter, expected] of Object.entries(whole)) {
      const most = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      expect(cut[parameter], parameter).toBeClose(expected, {
        rtol: 1e-4,
        atol: 1e-5 + 1e-5 * most,
      });
    }
  });

  it("count what fires", async () => {
    for (const name of names) {
      const config = configOf(name, 6);
      const { parameters, extras, values, x } = sample(config, { dIn: 4, rows: 10, seed: 4 });
      const step = { config, x, dIn: 4, variance: 1, sparsity: 0 };
      const active = referenceKind(values, step).active.split(",").map(Number);
      const expected = Array.from(
        { length: 6 },
        (_, latent) => active.filter((at) => at >= 0 && at % 6 === latent).length,
      );
      const { firing } = await gradientsOf({ device, config, parameters, extras, x });
      expect(Array.from(firing), name).toEqual(expected);
      expect(Math.max(...expected)).toBeGreaterThan(0);
    }
  });

  it("have room for a row that takes far more than k", async () => {
    // One row of large activations among 40 of small ones: it takes all of the batch's k B = 20.
    const config = parseTrainConfig({
      ...run,
      ...batch,
      k: 0.5,
      architecture: "batchtopk",
      dSae: 30,
    });
    const { parameters, extras } = sample(config, { dIn: 3, rows: 1, seed: 1 });
    const x = new Float64Array(40 * 3).map((_, at) => (at < 3 ? 50 : 0));
    const flat = {
      ...parameters,
      encoderRows: parameters.encoderRows.map(Math.abs),
      encoderBias: parameters.encoderBias.map(() => 0),
      decoderBias: parameters.decoderBias.map(() => 0),
    };
    const { firing } = await gradientsOf({ device, config, parameters: flat, extras, x });
    expect(Array.from(firing).reduce((sum, count) => sum + count, 0)).toBe(20);
  });
});

describe("p-annealing", () => {
  const config = configOf("p-anneal", 9);
  if (config.architecture !== "p_anneal") throw new TypeError("unreachable");

  it("goes from 1 to 0.2 in ten equal changes, the first after its step", () => {
    const ps = Array.from({ length: 70 }, (_, step) => pAfter(config, annealsBefore(config, step)));
    expect(ps.slice(0, 6)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(ps[6]).toBeCloseTo(0.92, 12);
    expect(ps[60]).toBeCloseTo(0.28, 12);
    expect(ps[61]).toBeCloseTo(0.2, 12);
    expect(new Set(ps.map((p) => p.toFixed(6))).size).toBe(11);
  });

  it("keeps the penalty where it was when p changes", async () => {
    const { parameters, extras, x } = sample(config, { dIn: 5, rows: 8, seed: 11 });
    const step = { device, config, parameters, extras, x, sparsity: 0.3 };
    const before = await gradientsOf({ ...step, step: 5, memory: { factor: [1.5] } });
    expect(before.memory?.["factor"]?.[0]).not.toBeCloseTo(1.5, 3);
    expect(before.memory).not.toHaveProperty("current");
    const after = await gradientsOf({ ...step, step: 6, memory: before.memory ?? {} });
    expect(after.loss).toBeCloseTo(before.loss, 5);
    const forgotten = await gradientsOf({ ...step, step: 6, memory: { factor: [1.5] } });
    expect(Math.abs(forgotten.loss - before.loss)).toBeGreaterThan(0.005);
  });
});

describe("BatchTopK's threshold", () => {
  const config = parseTrainConfig({
    ...run,
    ...batch,
    architecture: "batchtopk",
    dSae: 9,
    thresholdRate: 0.25,
    thresholdStart: 3,
  });
  const { parameters, extras, x } = sample(config, { dIn: 5, rows: 8, seed: 11 });
  const at = async (step: number, memory: Readonly<Record<string, readonly number[]>>) =>
    (await gradientsOf({ device, config, parameters, extras, x, step, memory })).memory;

  it("is the batch's smallest activation, and from thresholdStart on its running mean", async () => {
    const smallest = (await at(0, {}))?.["threshold"]?.[0] ?? 0;
    expect(smallest).toBeGreaterThan(0);
    expect((await at(3, { threshold: [5] }))?.["threshold"]).toEqual([smallest]);
    expect((await at(4, { threshold: [5] }))?.["threshold"]?.[0]).toBeCloseTo(
      5 + 0.25 * (smallest - 5),
      6,
    );
  });

  it("stays where it is when nothing fires", async () => {
    const silent = { ...parameters, encoderBias: parameters.encoderBias.map(() => -100) };
    const { memory, firing } = await gradientsOf({
      device,
      config,
      parameters: silent,
      x,
      step: 4,
      memory: { threshold: [5] },
    });
    expect(Array.from(firing)).toEqual(Array.from({ length: 9 }, () => 0));
    expect(memory).toEqual({ threshold: [5] });
  });
});

describe("configurations that cannot be are refused", () => {
  it.each([
    ["k", { ...batch, architecture: "batchtopk", k: 10 }],
    ["k", { ...batch, architecture: "batchtopk", k: 0.1 }],
    ["widths", { ...batch, architecture: "matryoshka_batchtopk", widths: [3, 3, 9] }],
    ["widths", { ...batch, architecture: "matryoshka_batchtopk", widths: [3, 8] }],
    ["annealEnd", { ...penalty, architecture: "p_anneal", annealStart: 9, annealEnd: 8 }],
    [
      "initialDecoderNorm",
      { ...penalty, architecture: "standard", decoderNorm: "unit", initialDecoderNorm: 0.1 },
    ],
    ["decoderNorm", { ...penalty, architecture: "standard" }],
    ["sparsity", { architecture: "gated", sparsityWarmup: 0 }],
  ])("%s: %o", (field, own) => {
    expect(() => parseTrainConfig({ ...run, dSae: 9, ...own })).toThrow(
      expect.objectContaining({
        code: "TRAIN_CONFIG_INVALID",
        message: expect.stringContaining(field) as string,
      }),
    );
  });
});
