// The shared real model against transformers on the same dequantised weights; see oracles/models/make.py.
import { join } from "node:path";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import type { TensorStore } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deviation, openFixture, read } from "./__fixtures__/support.ts";
import type { GenerateOptions } from "./generation/generate.ts";
import type { LanguageModel } from "./language-model.ts";
import { loadModel } from "./load-model.ts";

const folder = process.env["LATENTKIT_MODELS"];
const file = "SmolLM2-135M-Instruct.Q4_1.gguf";
// Without the model this is a failure where it has to be there (CI), else a skip that says so.
const missing = folder === undefined && process.env["CI"] !== "true";
if (missing)
  process.stderr.write(
    `smollm2.model.test.ts is skipped: LATENTKIT_MODELS does not name the folder of ${file}\n`,
  );

const maximumDeviation = 1e-3;
const maximumKl = 1e-6;
const question = "What is the capital of France?";

describe.skipIf(missing)("SmolLM2-135M-Instruct", () => {
  let device: Device;
  let model: LanguageModel;
  let golden: TensorStore;
  const floats = (name: string) => golden.readFloats(name);
  const integers = async (name: string) => [...(await golden.readIntegers(name))];

  beforeAll(async () => {
    device = await openCpuDevice();
    const checkpoint = await openCheckpoint(join(folder ?? "", file));
    model = await loadModel(checkpoint, { device });
    await checkpoint.close();
    golden = await openFixture("smollm2.golden.safetensors");
  });

  afterAll(() => {
    model.dispose();
    expect(device.memory().liveBytes).toBe(0);
    device.dispose();
  });

  it("is the model that it should be", () => {
    expect(model.config).toMatchObject({
      layers: 30,
      dModel: 576,
      heads: 9,
      kvHeads: 3,
      dHead: 64,
      dMlp: 1_536,
      vocabulary: 49_152,
      ropeBase: 100_000,
      contextSize: 8_192,
      tiedEmbeddings: true,
    });
    expect(model.identity().weightsHash).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each(["text", "chat"])("gives transformers' logits for the %s", async (prompt) => {
    const tokens = await integers(`${prompt}.tokens`);
    const { logits } = await read(model, [tokens]);
    const [std = 0] = await floats(`${prompt}.std`);
    const width = model.config.vocabulary;
    const full = await floats(`${prompt}.fullLogits`);
    for (const [index, position] of (await integers(`${prompt}.fullPositions`)).entries()) {
      const ours = logits.subarray(position * width, (position + 1) * width);
      const theirs = full.subarray(index * width, (index + 1) * width);
      expect(largestDifference(ours, theirs) / std).toBeLessThan(maximumDeviation);
      expect(divergence(logProbabilities(theirs), logProbabilities(ours))).toBeLessThan(maximumKl);
    }
    const sums = await floats(`${prompt}.logsumexp`);
    for (const [position, expected] of sums.entries()) {
      expect(
        Math.abs(logSumExp(logits.subarray(position * width, (position + 1) * width)) - expected) /
          std,
      ).toBeLessThan(maximumDeviation);
    }
  });

  it("gives transformers' 256 largest logits at all 64 positions, and no more divergence than allowed", async () => {
    const tokens = await integers("text.tokens");
    const { logits } = await read(model, [tokens]);
    const [std = 0] = await floats("text.std");
    const [ids, values, sums] = [
      await integers("text.topIds"),
      await floats("text.topLogits"),
      await floats("text.logsumexp"),
    ];
    const width = model.config.vocabulary;
    for (const [position, theirSum] of sums.entries()) {
      const row = logits.subarray(position * width, (position + 1) * width);
      const ours = Float32Array.from(
        ids.slice(position * 256, (position + 1) * 256),
        (id) => row[id] ?? Number.NaN,
      );
      const theirs = values.subarray(position * 256, (position + 1) * 256);
      expect(largestDifference(ours, theirs) / std).toBeLessThan(maximumDeviation);
      // All other tokens count as one outcome.
      const ourSum = logSumExp(row);
      expect(divergence(withRest(theirs, theirSum), withRest(ours, ourSum))).toBeLessThan(
        maximumKl,
      );
    }
  });

  it("has transformers' hidden states", async () => {
    const tokens = await integers("text.tokens");
    const places = await integers("text.hiddenPositions");
    const sites = [0, 9, 14, 28].map((layer) => `blocks.${layer}.hook_resid_post`);
    const { at } = await read(model, [tokens], { capture: sites, logits: "none" });
    for (const site of sites) {
      const width = model.config.dModel;
      const ours = Float32Array.from(
        places.flatMap((place) => [...at(site).subarray(place * width, (place + 1) * width)]),
      );
      const theirs = await floats(`text.${site}`);
      // The first position is an attention sink of 157 times the usual norm: compare it and the others each on its own scale.
      for (const index of places.keys()) {
        const part = (values: Float32Array) => values.subarray(index * width, (index + 1) * width);
        expect(deviation(part(ours), part(theirs)), `${site} at ${places[index]}`).toBeLessThan(
          maximumDeviation,
        );
      }
    }
  });

  it("computes the same by steps as by fused kernels", async () => {
    const tokens = (await integers("text.tokens")).slice(0, 24);
    const inner = model
      .sites()
      .flatMap(({ name }) => (/pattern|hook_scale/.test(name) ? [name] : []));
    const steps = await read(model, [tokens], { capture: inner });
    const fused = await read(model, [tokens]);
    expect(deviation(steps.logits, fused.logits)).toBeLessThan(maximumDeviation);
  });

  it("answers through its chat template", async () => {
    let text = "";
    const tokens: number[] = [];
    for await (const piece of model.generate({
      messages: [{ role: "user", content: question }],
      maxTokens: 24,
    })) {
      text += piece.text;
      tokens.push(piece.token);
    }
    expect(text).toBe("The capital of France is Paris.");
    expect(tokens).toEqual(await integers("generate.chat.tokens"));
  });

  it.each(["question", "text"])(
    "generates transformers' greedy tokens for the %s",
    async (name) => {
      const expected = await integers(`generate.${name}.tokens`);
      const options: GenerateOptions = {
        tokens: await integers(`generate.${name}.prompt`),
        maxTokens: expected.length,
      };
      const tokens: number[] = [];
      for await (const { token } of model.generate(options)) tokens.push(token);
      expect(tokens).toEqual(expected);
    },
  );

  it("generates transformers' 200 greedy tokens of a story", async () => {
    const greedy = await openFixture("smollm2-greedy.golden.safetensors");
    const expected = [...(await greedy.readIntegers("tokens"))];
    const margins = await greedy.readFloats("margins");
    const options: GenerateOptions = {
      tokens: await greedy.readIntegers("prompt"),
      maxTokens: 200,
      ignoreEos: true,
    };
    const tokens: number[] = [];
    for await (const { token } of model.generate(options)) tokens.push(token);
    const differs = expected.findIndex((token, place) => token !== tokens[place]);
    const hint = `transformers chose token ${differs} by ${margins[differs]} logits`;
    expect(tokens, hint).toEqual(expected);
    expect(expected).toHaveLength(200);
  });
});

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce(
    (largest, value, index) => Math.max(largest, Math.abs(value - (b[index] ?? Number.NaN))),
    0,
  );
}

function logSumExp(logits: Float32Array): number {
  const top = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return top + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
}

function logProbabilities(logits: Float32Array): Float64Array {
  const sum = logSumExp(logits);
  return Float64Array.from(logits, (logit) => logit - sum);
}

/** Log probabilities of some tokens and of all others together. */
function withRest(logits: Float32Array, sum: number): Float64Array {
  const some = Float64Array.from(logits, (logit) => logit - sum);
  const rest = 1 - some.reduce((total, x) => total + Math.exp(x), 0);
  return Float64Array.of(...some, Math.log(Math.max(rest, 1e-9)));
}

/** KL(p || q) in nats, from log probabilities. */
function divergence(p: Float64Array, q: Float64Array): number {
  return p.reduce((sum, x, index) => sum + Math.exp(x) * (x - (q[index] ?? Number.NaN)), 0);
}
