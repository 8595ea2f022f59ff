import { createReferenceBackend, Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { parseSaeConfig, type SaeConfigInput } from "../config.ts";
import { evaluateSae } from "../evaluate/evaluate-sae.ts";
import { Sae } from "../sae.ts";
import { exampleSae } from "../testing/example-sae.ts";
import type { SaeWeights } from "../weights.ts";

registerMatchers(expect);

// Made by oracles/sae/architectures_inference.py: SAELens's own classes.
const numbers = z.array(z.number());
const golden = z
  .object({
    dIn: z.int(),
    dOut: z.int(),
    dSae: z.int(),
    rows: z.int(),
    cases: z.record(
      z.string(),
      z.object({
        architecture: z.string(),
        config: z.object({
          k: z.int().optional(),
          residual_threshold: z.number().optional(),
          max_iterations: z.int().nullish(),
          stop_on_duplicate_support: z.boolean().optional(),
        }),
        tensors: z.record(z.string(), z.object({ shape: numbers, values: numbers })),
        x: numbers,
        acts: numbers,
        out: numbers,
      }),
    ),
  })
  .parse(
    JSON.parse(readFileSync(new URL("../__fixtures__/inference.json", import.meta.url), "utf8")),
  );
const { dIn, dSae, rows } = golden;
type Case = (typeof golden.cases)[string];

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

/** The golden's SAE as ours. */
function saeOf({ architecture, config, tensors }: Case): Sae {
  const get = (name: string): Float32Array | null => {
    const values = tensors[name]?.values;
    return values === undefined ? null : Float32Array.from(values);
  };
  const transcoder = architecture.endsWith("transcoder");
  const decoder = get("W_dec") ?? new Float32Array(0);
  const encoder = get("W_enc");
  const weights: SaeWeights = {
    encoderRows:
      encoder === null
        ? decoder
        : encoder.map((_, at) => encoder[(at % dIn) * dSae + Math.floor(at / dIn)] ?? 0),
    decoder,
    encoderBias: get("b_enc") ?? new Float32Array(dSae),
    decoderBias: get("b_dec") ?? new Float32Array(0),
    // ReLU is a JumpReLU of threshold 0.
    threshold: get("threshold") ?? (transcoder ? new Float32Array(dSae) : null),
    skip: get("W_skip"),
  };
  const common = { dIn, dSae, applyBDecToInput: !transcoder };
  const own: SaeConfigInput = transcoder
    ? { ...common, architecture: "jumprelu", dOut: golden.dOut }
    : architecture === "abstopk"
      ? { ...common, architecture: "abstopk", k: config.k ?? 0 }
      : {
          ...common,
          architecture: "matching_pursuit",
          residualThreshold: config.residual_threshold,
          maxIterations: config.max_iterations,
          stopOnDuplicateSupport: config.stop_on_duplicate_support,
        };
  return Sae.fromWeights(device, own, weights);
}

describe.each(Object.entries(golden.cases))("%s as SAELens has it", (_name, example) => {
  it("encodes and reconstructs the same", async () => {
    using sae = saeOf(example);
    using x = device.tensor(Float32Array.from(example.x), [rows, dIn]);
    using latents = device.scope(() => sparseToDense(sae.encode(x)));
    using out = sae.reconstruct(x);
    // Sums of up to 14 products in f32.
    const tolerance = { rtol: 1e-5, atol: 3e-6 };
    expect(await latents.floats()).toBeClose(example.acts, tolerance);
    expect(out.shape).toEqual([rows, sae.dOut]);
    expect(await out.floats()).toBeClose(example.out, tolerance);
    using dense = sae.decode(latents, x);
    expect(await dense.floats()).toBeClose(example.out, tolerance);
  });
});

const [skipCase, pursuitCase, absCase] = [
  golden.cases["jumprelu_skip_transcoder"],
  golden.cases["matching_pursuit"],
  golden.cases["abstopk"],
];
if (skipCase === undefined || pursuitCase === undefined || absCase === undefined)
  throw new TypeError("the golden has lost a case");

describe("a transcoder", () => {
  it("is evaluated against its targets, and not without", async () => {
    using sae = saeOf(skipCase);
    const activations = Float32Array.from(skipCase.x);
    const targets = Float32Array.from(skipCase.out);
    const exact = await evaluateSae(sae, [{ activations, targets }]);
    expect(exact.fvu).toBeLessThan(1e-10);
    expect(exact.tokens).toBe(rows);
    expect(exact.mean).toHaveLength(golden.dOut);
    const masks = Uint8Array.from({ length: rows }, (_, row) => (row < 3 ? 1 : 0));
    const shifted = targets.map((value, at) => (at < 3 * golden.dOut ? value + 9 : value));
    const masked = await evaluateSae(sae, [{ activations, targets: shifted, masks }]);
    expect(masked.fvu).toBeLessThan(1e-10);
    expect(masked.fvuWithMasked).toBeGreaterThan(0.1);
    await expect(evaluateSae(sae, [{ activations }])).rejects.toMatchObject({
      code: "EVALUATION_TARGETS",
    });
    await expect(
      evaluateSae(sae, [{ activations, targets: targets.slice(1) }]),
    ).rejects.toMatchObject({ code: "SHAPE_ROWS" });
  });

  it("needs its input to decode, where it has a skip connection", () => {
    using sae = saeOf(skipCase);
    using latents = device.zeros([2, dSae]);
    expect(() => sae.decode(latents)).toThrow(expect.objectContaining({ code: "SAE_SKIP_INPUT" }));
  });

  it("has an identity of its width and its skip connection", async () => {
    using sae = saeOf(skipCase);
    const weights = await sae.weights();
    using without = Sae.fromWeights(device, sae.config, { ...weights, skip: null });
    const changed = weights.skip?.map((value, at) => value + (at === 2 ? 1 : 0)) ?? null;
    using other = Sae.fromWeights(device, sae.config, { ...weights, skip: changed });
    const identities = await Promise.all([sae, without, other].map((one) => one.identity()));
    expect(new Set(identities).size).toBe(3);
  });

  it("refuses a skip of another shape, a skip of an autoencoder, and a b_dec for its input", async () => {
    using sae = saeOf(skipCase);
    const weights = await sae.weights();
    expect(() =>
      Sae.fromWeights(device, { ...sae.config, dOut: 4 }, { ...weights, skip: null }),
    ).toThrow(expect.objectContaining({ code: "SHAPE_DATA" }));
    using abs = saeOf(absCase);
    const own = await abs.weights();
    const tensors = {
      encoderRows: device.tensor(own.encoderRows, [dSae, dIn]),
      decoder: device.tensor(own.decoder, [dSae, dIn]),
      encoderBias: device.tensor(own.encoderBias, [dSae]),
      decoderBias: device.tensor(own.decoderBias, [dIn]),
      threshold: null,
      skip: device.zeros([dIn, dIn]),
    };
    expect(() => new Sae(device, abs.config, tensors)).toThrow(/autoencoder has no skip/u);
    for (const tensor of Object.values(tensors)) tensor?.dispose();
    expect(() => parseSaeConfig({ ...sae.config, applyBDecToInput: true })).toThrow(
      /applyBDecToInput/u,
    );
  });
});

it("has the identities of earlier versions where there is nothing new", async () => {
  // As the version without transcoders computed it.
  using sae = exampleSae(device, "topk");
  expect(await sae.identity()).toBe(
    "1e707ca0db154765763f592aba827d3a0c7d110b4ddaa6c283b4a8d45231f31e",
  );
});

describe("matching pursuit", () => {
  it("has no pre-activations to be activated, and no width of its own", () => {
    using sae = saeOf(pursuitCase);
    expect(sae.steps).toBeUndefined();
    using pre = device.zeros([1, dSae]);
    expect(() => sae.activate(pre)).toThrow(
      expect.objectContaining({ code: "SAE_NO_PRE_ACTIVATIONS" }),
    );
    const config = { architecture: "matching_pursuit", dIn, dSae, applyBDecToInput: true };
    expect(() => parseSaeConfig({ ...config, applyBDecToInput: false, dOut: 3 })).toThrow(
      /reads and writes the same site/u,
    );
    expect(() => parseSaeConfig({ ...config, applyBDecToInput: false })).toThrow(
      /applyBDecToInput/u,
    );
  });

  it("leaves a token alone once it is done, however many steps others take", async () => {
    using sae = saeOf(pursuitCase);
    const together = Float32Array.from(pursuitCase.x);
    const alone: number[] = [];
    for (let row = 0; row < rows; row++) {
      using x = device.tensor(together.slice(row * dIn, (row + 1) * dIn), [1, dIn]);
      using out = sae.reconstruct(x);
      alone.push(...(await out.floats()));
    }
    expect(alone).toBeClose(pursuitCase.out, { rtol: 1e-5, atol: 3e-6 });
  });
});

it("counts AbsTopK's negative latents as active", async () => {
  using sae = saeOf(absCase);
  const { l0, deadFraction, densities } = await evaluateSae(sae, [
    { activations: Float32Array.from(absCase.x) },
  ]);
  expect(absCase.acts.filter((value) => value < 0).length).toBeGreaterThan(5);
  expect(l0).toBe(absCase.config.k);
  const fired = Array.from({ length: dSae }, (_, latent) =>
    absCase.acts.filter((value, at) => at % dSae === latent && value !== 0),
  );
  expect(Array.from(densities)).toBeClose(
    fired.map((values) => values.length / rows),
    { rtol: 1e-6, atol: 0 },
  );
  expect(deadFraction).toBe(fired.filter((values) => values.length === 0).length / dSae);
});
