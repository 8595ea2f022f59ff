import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { fc, test } from "@fast-check/vitest";
import { afterAll, describe, expect, it } from "vitest";
import { randomStep } from "../testing/random-parameters.ts";
import type { ReferenceValues } from "../testing/reference-kinds.ts";
import { referenceMore, type ReferenceMoreStep } from "../testing/reference-more.ts";
import { gradientsOf, type HarnessGradients, type HarnessStep } from "../testing/step-harness.ts";
import { parseTrainConfig, type TrainConfig } from "../train/config.ts";

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
};
const penalty = { sparsity: 0.3, sparsityWarmup: 0 };
const top = { auxiliaryWeight: 1 / 4, auxiliaryK: 2 };
const jump = {
  ...penalty,
  architecture: "jumprelu",
  bandwidth: 0.1,
  initialThreshold: 0.2,
  thresholdForm: "raw",
};
const withSkip = { dOut: 4, skip: true };
const withoutSkip = { dOut: 4, skip: false };
const sites = [
  { name: "early", width: 3 },
  { name: "late", width: 2 },
];

/** Kinds for 9 latents and inputs of width 5. */
const kinds: Readonly<Record<string, object>> = {
  abstopk: { ...top, architecture: "abstopk", k: 3 },
  "matching pursuit": {
    architecture: "matching_pursuit",
    maxIterations: 3,
    residualThreshold: 0.2,
  },
  crosscoder: { ...penalty, architecture: "crosscoder", sites },
  "batchtopk crosscoder": { ...top, architecture: "batchtopk_crosscoder", k: 2.6, sites },
  "jumprelu, quadratic": { ...jump, penalty: "quadratic", targetL0: 2 },
  "jumprelu, relative": { ...jump, penalty: "relative", targetL0: 2 },
  "jumprelu, frequency": { ...jump, frequencyScale: 0.1 },
  "jumprelu, quadratic and frequency": {
    ...jump,
    penalty: "quadratic",
    targetL0: 2,
    frequencyScale: 0.1,
  },
  "standard transcoder": {
    ...penalty,
    architecture: "standard",
    decoderNorm: "unit",
    transcoder: withSkip,
  },
  "gated transcoder": { ...penalty, architecture: "gated", transcoder: withSkip },
  "jumprelu transcoder": { ...jump, transcoder: withSkip },
  "topk transcoder": { ...top, architecture: "topk", k: 3, transcoder: withSkip },
  "abstopk transcoder": { ...top, architecture: "abstopk", k: 3, transcoder: withoutSkip },
  "batchtopk transcoder": { ...top, architecture: "batchtopk", k: 2.6, transcoder: withoutSkip },
};
const [dIn, dSae] = [5, 9];

function configOf(name: string): TrainConfig {
  return parseTrainConfig({ ...run, dSae, ...kinds[name] });
}

interface Sample {
  readonly values: ReferenceValues;
  readonly x: Float64Array;
  readonly target: Float64Array;
}

/** Parameters that a kind has, and a batch. */
function sample(config: TrainConfig, rows: number, seed: number): Sample {
  const jumps = config.architecture === "jumprelu";
  const { parameters, x } = randomStep({ dIn, dSae, rows, seed, threshold: jumps ? 0.2 : null });
  const random = new Random(seed, 77);
  const draw = (length: number, scale: number): Float64Array =>
    Float64Array.from({ length }, () => Math.fround(scale * random.normal()));
  const { encoderRows, encoderBias, threshold } = parameters;
  const tied = config.architecture === "matching_pursuit";
  const { transcoder } = config;
  const dOut = transcoder?.dOut ?? dIn;
  return {
    values: {
      ...(tied ? {} : { encoderRows, encoderBias }),
      decoder: transcoder === null ? parameters.decoder : draw(dSae * dOut, 0.5),
      decoderBias: transcoder === null ? parameters.decoderBias : draw(dOut, 0.1),
      ...(threshold === null ? {} : { threshold }),
      ...(transcoder?.skip === true ? { skip: draw(dOut * dIn, 0.2) } : {}),
      ...(config.architecture === "gated"
        ? { gate_bias: draw(dSae, 0.1), magnitude_scale: draw(dSae, 0.2) }
        : {}),
    },
    x,
    target: transcoder === null ? x : draw(rows * dOut, 0.5),
  };
}

/** Gradients by the names of the values, without theta's, which is a pseudo-gradient. */
async function gradients(
  config: TrainConfig,
  { values, x, target }: Sample,
  step: Partial<HarnessStep>,
): Promise<{ readonly result: HarnessGradients; readonly ours: Record<string, Float32Array> }> {
  const none = new Float64Array(0);
  const get = (name: string): Float64Array => values[name] ?? none;
  const extras = { gate_bias: get("gate_bias"), magnitude_scale: get("magnitude_scale") };
  const result = await gradientsOf({
    device,
    config,
    parameters: {
      encoderRows: values["encoderRows"] ?? get("decoder"),
      decoder: get("decoder"),
      encoderBias: values["encoderBias"] ?? new Float64Array(dSae),
      decoderBias: get("decoderBias"),
      threshold: values["threshold"] ?? null,
    },
    skip: values["skip"] ?? null,
    extras: config.architecture === "gated" ? extras : {},
    x,
    target,
    sparsity: 0.3,
    ...step,
  });
  const { threshold: _, ...own } = result.gradients;
  const all: Record<string, Float32Array> = { ...own, ...result.extras };
  const names = Object.keys(values).filter((name) => name !== "threshold");
  return {
    result,
    ours: Object.fromEntries(names.map((name) => [name, all[name] ?? new Float32Array(0)])),
  };
}

const names = Object.keys(kinds);
const dead = Uint8Array.from([0, 1, 1, 0, 1, 0, 0, 1, 0]);

describe("gradients against finite differences of the f64 loss", () => {
  it.each([
    ...names.map((name) => ({ name, dead: null })),
    ...names.filter((name) => "auxiliaryWeight" in configOf(name)).map((name) => ({ name, dead })),
  ])("$name (dead latents: $dead)", async ({ name, dead: silent }) => {
    const config = configOf(name);
    const given = sample(config, 8, 11);
    const { values, x, target } = given;
    const base: ReferenceMoreStep = {
      config,
      x,
      target,
      dIn,
      variance: 0.8,
      sparsity: 0.3,
      dead: silent,
    };
    const start = referenceMore(values, base);
    const step = { ...base, frozen: { values, residual: start.residual } };
    const { result, ours } = await gradients(config, given, { variance: 0.8, dead: silent });
    expect(result.loss).toBeCloseTo(start.loss, 5);
    expect(result.auxiliaryLoss > 0).toBe(silent !== null || config.architecture === "gated");
    for (const [parameter, own] of Object.entries(values)) {
      if (parameter === "threshold") continue;
      const expected = own.map((_, index) => {
        const there = (change: number): number => {
          const moved = own.slice();
          moved[index] = (moved[index] ?? 0) + change;
          const found = referenceMore({ ...values, [parameter]: moved }, step);
          // A step across a kink would make the difference meaningless.
          expect(found.active).toBe(start.active);
          return found.loss;
        };
        return (there(1e-6) - there(-1e-6)) / 2e-6;
      });
      expect(ours[parameter], parameter).toBeClose(expected, { rtol: 5e-5, atol: 5e-6 });
    }
  });
});

describe("steps", () => {
  test.prop(
    [
      fc.constantFrom(...names),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 0, max: 1000 }),
    ],
    { numRuns: 40, seed: 1 },
  )("do not depend on how a batch is cut into blocks", async (name, rows, blockRows, seed) => {
    const config = configOf(name);
    const given = sample(config, rows, seed);
    const whole = await gradients(config, given, { blockRows: 100 });
    const cut = await gradients(config, given, { blockRows });
    expect(cut.result.loss).toBeCloseTo(whole.result.loss, 5);
    expect(Array.from(cut.result.firing)).toEqual(Array.from(whole.result.firing));
    expect(cut.result.gradients.threshold).toBeClose(whole.result.gradients.threshold, {
      rtol: 1e-4,
      atol: 1e-5,
    });
    for (const [parameter, expected] of Object.entries(whole.ours))
      expect(cut.ours[parameter], parameter).toBeClose(expected, { rtol: 1e-4, atol: 1e-5 });
  });

  it.each(names.filter((name) => name.startsWith("jumprelu")))(
    "%s is the same by sparse rows and by dense products",
    async (name) => {
      const config = configOf(name);
      const given = sample(config, 12, 3);
      const [sparse, dense] = [
        await gradients(config, given, { dense: false, blockRows: 5 }),
        await gradients(config, given, { dense: true, blockRows: 5 }),
      ];
      expect(dense.result.loss).toBeCloseTo(sparse.result.loss, 5);
      const theta = sparse.result.gradients.threshold;
      expect(theta.some((value) => value !== 0)).toBe(true);
      expect(dense.result.gradients.threshold).toBeClose(theta, { rtol: 1e-4, atol: 1e-5 });
      for (const [parameter, expected] of Object.entries(sparse.ours))
        expect(dense.ours[parameter], parameter).toBeClose(expected, { rtol: 1e-4, atol: 1e-5 });
    },
  );

  it("push theta up above the target L0 and down below it", async () => {
    for (const penaltyName of ["quadratic", "relative"]) {
      const theta = async (targetL0: number): Promise<number> => {
        const config = parseTrainConfig({ ...run, dSae, ...jump, penalty: penaltyName, targetL0 });
        const { result } = await gradients(config, sample(config, 12, 3), { sparsity: 100 });
        return result.gradients.threshold.reduce((sum, value) => sum + value, 0);
      };
      // Adam goes against the gradient.
      expect(await theta(0.5)).toBeLessThan(0);
      expect(await theta(8)).toBeGreaterThan(0);
    }
  });

  it("count AbsTopK's negative latents", async () => {
    const config = configOf("abstopk");
    const { result } = await gradients(config, sample(config, 10, 2), {});
    expect(Array.from(result.firing).reduce((sum, fired) => sum + fired, 0)).toBe(30);
  });
});
