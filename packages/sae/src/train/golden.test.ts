import type { ActivationBatches, BatchesState } from "@latentkit/activations";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { ReferenceParameters } from "../testing/reference-step.ts";
import { gradientsOf } from "../testing/step-harness.ts";
import { type CheckpointStore, memoryCheckpoints, type TrainingCheckpoint } from "./checkpoint.ts";
import { trainConfigSchema } from "./config.ts";
import { StatisticsSums } from "./normalise.ts";
import { trainSae } from "./train-sae.ts";

registerMatchers(expect);

// Made by oracles/sae/make.py: the same recipes in PyTorch with autograd, in f64.
const numbers = z.array(z.number());
const arrays = z.record(z.string(), numbers);
const golden = z
  .object({
    dIn: z.int(),
    scale: z.number(),
    variance: z.number(),
    x: numbers,
    cases: z.record(
      z.string(),
      z.object({
        config: trainConfigSchema,
        start: arrays,
        losses: numbers,
        deadCounts: numbers,
        parameters: arrays,
        second: arrays,
        gradients: z.object({
          step: z.int(),
          dead: numbers,
          sparsity: z.number(),
          loss: z.number(),
          parameters: arrays,
          values: arrays,
          x: z.array(numbers),
        }),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL("../__fixtures__/steps.json", import.meta.url), "utf8")));

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

const raw = Float32Array.from(golden.x);

describe.each(Object.entries(golden.cases))("%s against PyTorch", (_name, example) => {
  const { config } = example;
  const { dIn } = golden;

  it("has its gradients half-way through a run", async () => {
    const { gradients } = example;
    const values = (name: string): Float64Array =>
      Float64Array.from(gradients.parameters[name] ?? []);
    const log = "log_threshold" in gradients.parameters;
    const parameters: ReferenceParameters = {
      encoderRows: values("encoder_rows"),
      decoder: values("decoder"),
      encoderBias: values("encoder_bias"),
      decoderBias: values("decoder_bias"),
      threshold:
        config.architecture === "topk"
          ? null
          : log
            ? values("log_threshold").map(Math.exp)
            : values("threshold"),
    };
    const dead = gradients.dead.some((one) => one === 1) ? Uint8Array.from(gradients.dead) : null;
    const step = {
      device,
      config,
      parameters,
      x: Float64Array.from(gradients.x.flat()),
      sparsity: gradients.sparsity,
      dead,
      blockRows: 5,
    };
    const result = await gradientsOf({ ...step, variance: golden.variance });
    expect(result.loss).toBeCloseTo(gradients.loss, 6);
    // f32 against f64, sums of 16 rows of terms of order 1.
    const tolerance = { rtol: 2e-5, atol: 1e-6 };
    expect(result.gradients.encoderRows).toBeClose(
      gradients.values["encoder_rows"] ?? [],
      tolerance,
    );
    expect(result.gradients.decoder).toBeClose(gradients.values["decoder"] ?? [], tolerance);
    expect(result.gradients.encoderBias).toBeClose(
      gradients.values["encoder_bias"] ?? [],
      tolerance,
    );
    expect(result.gradients.decoderBias).toBeClose(
      gradients.values["decoder_bias"] ?? [],
      tolerance,
    );
    if (config.architecture === "topk") return;
    // dL/dlog(theta) = theta dL/dtheta.
    const chained = result.gradients.threshold.map(
      (value, latent) => value * (log ? (parameters.threshold?.[latent] ?? 0) : 1),
    );
    expect(chained).toBeClose(gradients.values[log ? "log_threshold" : "threshold"] ?? [], {
      rtol: 2e-5,
      atol: 1e-5,
    });
  });

  it("follows its curve over 20 steps and ends at its parameters", async () => {
    const checkpoints = startingAt(example);
    const { sae, history } = await trainSae({
      device,
      config,
      batches: inOrder(raw, dIn),
      heldOut: raw.slice(0, 10 * dIn),
      checkpoints,
    });
    sae.dispose();
    expect(history.points.map((point) => point.loss)).toBeClose(example.losses, {
      rtol: 2e-4,
      atol: 1e-6,
    });
    // A point's count is taken after its step, so the golden's of the next step.
    expect(history.points.slice(0, -1).map((point) => point.deadCount)).toEqual(
      example.deadCounts.slice(1),
    );
    const end = await checkpoints.load();
    for (const [name, expected] of Object.entries(example.parameters)) {
      const found = end?.tensors.find((tensor) => tensor.name === name)?.data ?? [];
      // Adam divides by the gradient's own size, so that f32's rounding of small gradients moves parameters by parts of lr = 3e-3.
      expect(Array.from(found), name).toBeClose(expected, { rtol: 0, atol: 3e-5 });
    }
  });
});

it("estimates PyTorch's scale and variance", () => {
  const sums = new StatisticsSums(golden.dIn);
  sums.add(raw);
  const { scale, variance } = sums.statistics();
  expect([scale, variance]).toBeClose([golden.scale, golden.variance], { rtol: 1e-12, atol: 0 });
});

/** A store whose newest checkpoint is the golden's start, at step 0. */
function startingAt({ config, start }: (typeof golden.cases)[string]): CheckpointStore {
  const { info } = device;
  const tensors: TrainingCheckpoint["tensors"][number][] = [
    { name: "silent", shape: [config.dSae], data: new Int32Array(config.dSae) },
  ];
  for (const [name, values] of Object.entries(start)) {
    for (const suffix of ["", ".first", ".second"]) {
      tensors.push({
        name: `${name}${suffix}`,
        shape: [values.length],
        data: suffix === "" ? Float32Array.from(values) : new Float32Array(values.length),
      });
    }
  }
  const store = memoryCheckpoints();
  void store.save({
    state: {
      schemaVersion: 1,
      config,
      dIn: golden.dIn,
      step: 0,
      statistics: { scale: golden.scale, variance: golden.variance },
      recentL0: 0,
      window: { rows: 0, steps: 0, loss: 0, squaredError: 0, active: 0 },
      points: [],
      batches: null,
      backend: { name: info.name, matmul: info.matmul, threads: info.threads, build: info.build },
    },
    tensors,
  });
  return store;
}

/** Rows as they come, once. */
function inOrder(data: Float32Array, dIn: number): ActivationBatches {
  let at = 0;
  const state: BatchesState = {
    seed: 0,
    rows: data.length / dIn,
    bufferShards: 1,
    epoch: 0,
    pool: 0,
    offset: 0,
  };
  return {
    dIn,
    uniqueTokens: data.length / dIn,
    next(size) {
      const batch = data.slice(at, at + size * dIn);
      at += size * dIn;
      return Promise.resolve(batch);
    },
    state: () => state,
    restore() {
      at = 0;
    },
  };
}
