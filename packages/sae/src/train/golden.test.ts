import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { goldenStart, inOrder } from "../testing/golden-run.ts";
import type { ReferenceParameters } from "../testing/reference-step.ts";
import { gradientsOf } from "../testing/step-harness.ts";
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
    const checkpoints = goldenStart(device, golden, example);
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
