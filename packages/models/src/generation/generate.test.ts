import { AbortedError } from "@latentkit/core";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { byteTokenizer, read, referenceDevice } from "../__fixtures__/support.ts";
import { addVector, replaceWith } from "../edits.ts";
import type { GeneratedToken } from "./continuation.ts";
import type { GenerateOptions } from "./generate.ts";
import { logitBias } from "./logits-processors.ts";
import { randomModel } from "../random-model.ts";

const device = referenceDevice();
const tokenizer = byteTokenizer();
const sizes = { layers: 2, dModel: 16, heads: 2, kvHeads: 1, dHead: 8, dMlp: 20, contextSize: 32 };
const model = randomModel({ device, seed: 2, tokenizer, config: sizes });
const silent = randomModel({ device, seed: 2, config: sizes });
const resting = device.memory().liveBytes;

afterEach(() => expect(device.memory().liveBytes).toBe(resting));
afterAll(() => {
  model.dispose();
  silent.dispose();
  device.dispose();
});

async function collect(options: GenerateOptions, from = model): Promise<GeneratedToken[]> {
  const tokens: GeneratedToken[] = [];
  for await (const token of from.generate(options)) tokens.push(token);
  return tokens;
}

/** A bias towards tokens, by an edit of the logits. */
function prefer(...tokens: readonly number[]): GenerateOptions["edits"] {
  const bias = new Float32Array(model.config.vocabulary);
  for (const token of tokens) bias[token] = 1e4;
  return [{ site: "logits", edit: addVector(bias) }];
}

describe("generate", () => {
  it("is greedy by default and equal to running the whole text anew for each token", async () => {
    const prompt = [...tokenizer.encode("one").ids];
    const generated = await collect({ tokens: prompt, maxTokens: 6, ignoreEos: true });
    const text = [...prompt];
    for (const { token, logProbability } of generated) {
      const { logits } = await read(model, [text], { logits: "last" });
      const best = logits.indexOf(Math.max(...logits));
      expect(token).toBe(best);
      const mass = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
      expect(logProbability).toBeCloseTo((logits[best] ?? 0) - Math.log(mass), 4);
      text.push(token);
    }
    expect(generated.map(({ index, finish }) => [index, finish])).toEqual(
      [0, 1, 2, 3, 4, 5].map((index) => [index, index === 5 ? "length" : null]),
    );
  });

  it("draws the same for the same seed and differs between seeds", async () => {
    const draw = async (seed: number) =>
      (await collect({ prompt: "a", temperature: 1.5, seed, maxTokens: 12, ignoreEos: true })).map(
        ({ token }) => token,
      );
    expect(await draw(3)).toEqual(await draw(3));
    expect(await draw(3)).not.toEqual(await draw(4));
  });

  it("stops at the tokenizer's end token, which has no text", async () => {
    expect(await collect({ prompt: "a", edits: prefer(256) })).toMatchObject([
      { index: 0, token: 256, text: "", finish: "stop" },
    ]);
  });

  it("stops at the caller's tokens instead, or at none", async () => {
    const edits = prefer(256);
    const on = await collect({ prompt: "a", edits, stopTokens: [5], maxTokens: 3 });
    expect(on.map(({ finish }) => finish)).toEqual([null, null, "length"]);
    const ignoring = await collect({
      prompt: "a",
      edits: prefer(65),
      stopTokens: [65],
      ignoreEos: true,
      maxTokens: 2,
    });
    expect(ignoring.map(({ text, finish }) => [text, finish])).toEqual([
      ["A", null],
      ["A", "length"],
    ]);
  });

  it("goes on in several ways from one reading of the prompt, each as if it were alone", async () => {
    const lengths: number[] = [];
    const edits: GenerateOptions["edits"] = [
      {
        site: "hook_embed",
        edit: (value, { tokens }) => {
          lengths.push(tokens.length * (tokens[0]?.length ?? 0));
          return value;
        },
      },
    ];
    const options = { tokens: [1, 2, 3, 4, 5], temperature: 1.3, seed: 8, maxTokens: 9 };
    const stopTokens = Array.from({ length: 60 }, (_, index) => 4 * index);
    const together = await collect({ ...options, stopTokens, samples: 4, edits });
    const tokensOf = (sample: number): number[] =>
      together.filter((one) => one.sample === sample).map(({ token }) => token);
    // The prompt once, and then only the samples that have not ended.
    expect(lengths[0]).toBe(5);
    const running = (index: number): number => together.filter((one) => one.index === index).length;
    expect(lengths.slice(1)).toEqual(lengths.slice(1).map((_, index) => running(index + 1)));
    const ends = [0, 1, 2, 3].map((sample) => tokensOf(sample).length);
    expect(new Set(ends).size).toBeGreaterThan(1);
    expect(new Set([0, 1, 2, 3].map((sample) => tokensOf(sample).join())).size).toBe(4);
    // Sample 0 of one is sample 0 of four; the others each go on from their own text.
    const alone = await collect({ ...options, stopTokens });
    expect(alone.map(({ token }) => token)).toEqual(tokensOf(0));
    for (const sample of [1, 2, 3]) {
      const text = [...options.tokens];
      for (const { token, logProbability } of together.filter((one) => one.sample === sample)) {
        const { logits } = await read(model, [text], { logits: "last" });
        const mass = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
        expect(logProbability).toBeCloseTo((logits[token] ?? 0) - Math.log(mass), 4);
        text.push(token);
      }
    }
  });

  it("ends at a stop string, none of which is given out", async () => {
    const bytes = tokenizer.encode("so it goes on").ids;
    let step = 0;
    const edits: GenerateOptions["edits"] = [
      {
        site: "logits",
        edit: (value, context) => {
          const bias = new Float32Array(model.config.vocabulary);
          bias[bytes[step++ % bytes.length] ?? 0] = 1e4;
          return addVector(bias)(value, context);
        },
      },
    ];
    const generated = await collect({ prompt: "a", edits, stopStrings: ["goat", "go"] });
    expect(generated.map(({ text }) => text).join("")).toBe("so it ");
    expect(generated.at(-1)).toMatchObject({ finish: "stop", stopString: "go", text: "" });
    expect(generated.slice(0, -1).every(({ stopString }) => stopString === null)).toBe(true);
    step = 0;
    const cut = await collect({ prompt: "a", edits, stopStrings: ["it is"], maxTokens: 5 });
    expect(cut.map(({ text }) => text)).toEqual(["s", "o", " ", "", "it"]);
    expect(cut.at(-1)).toMatchObject({ finish: "length", stopString: null });
  });

  it("lets processors change what is chosen, and tells them the text so far", async () => {
    const seen: string[] = [];
    const generated = await collect({
      tokens: [7, 8],
      maxTokens: 3,
      ignoreEos: true,
      samples: 2,
      processors: [
        (logits, { tokens, promptLength, sample }) => {
          seen.push(`${sample}:${promptLength}:${tokens.join(",")}`);
          logits.fill(-Infinity);
          logits[20 + sample] = 1;
        },
        logitBias(
          new Map([
            [21, -Infinity],
            [30, Infinity],
          ]),
        ),
        (logits, { sample }) => {
          if (sample === 0) logits[30] = -Infinity;
          else logits[30] = 0;
        },
      ],
    });
    expect(generated.map(({ token }) => token)).toEqual([20, 30, 20, 30, 20, 30]);
    expect(seen.slice(0, 4)).toEqual(["0:2:7,8", "1:2:7,8", "0:2:7,8,20", "1:2:7,8,30"]);
  });

  it("reports alternatives", async () => {
    const [first] = await collect({ tokens: [1, 2], maxTokens: 1, alternatives: 3 });
    expect(first?.alternatives).toHaveLength(3);
    expect(first?.alternatives[0]).toEqual({
      token: first?.token,
      logProbability: first?.logProbability,
    });
  });

  it("stops where the context ends", async () => {
    const generated = await collect({ tokens: new Array<number>(29).fill(1), ignoreEos: true });
    expect(generated.map(({ finish }) => finish)).toEqual([null, null, "length"]);
  });

  it("gives no half characters, and what is left at the end", async () => {
    const bytes = tokenizer.encode("€x€").ids;
    let step = 0;
    const edits: GenerateOptions["edits"] = [
      {
        site: "logits",
        edit: (value, context) => {
          const bias = new Float32Array(model.config.vocabulary);
          bias[bytes[step++] ?? 0] = 1e4;
          return addVector(bias)(value, context);
        },
      },
    ];
    const pieces = (await collect({ prompt: "a", edits, maxTokens: 6 })).map(({ text }) => text);
    expect(pieces).toEqual(["", "", "€", "x", "", "\uFFFD"]);
  });

  it("edits the prompt and every new token", async () => {
    const starts: [number, number][] = [];
    const edits: GenerateOptions["edits"] = [
      {
        site: "blocks.1.hook_resid_post",
        edit: (value, { startPosition, tokens }) => {
          starts.push([startPosition, tokens[0]?.length ?? 0]);
          return value;
        },
      },
    ];
    await collect({ tokens: [1, 2, 3], edits, maxTokens: 3, ignoreEos: true });
    expect(starts).toEqual([
      [0, 3],
      [3, 1],
      [4, 1],
    ]);
    // A constant stream makes every next token the same.
    const constant: GenerateOptions["edits"] = [
      { site: "blocks.1.hook_resid_post", edit: replaceWith(new Float32Array(16).fill(1)) },
    ];
    const generated = await collect({
      tokens: [1, 2, 3],
      edits: constant,
      maxTokens: 5,
      ignoreEos: true,
    });
    expect(new Set(generated.map(({ token }) => token)).size).toBe(1);
  });

  it("works without a tokenizer, from tokens alone", async () => {
    const generated = await collect({ tokens: [1], maxTokens: 2 }, silent);
    expect(generated.map(({ text }) => text)).toEqual(["", ""]);
    await expect(collect({ tokens: [1], stopStrings: ["x"] }, silent)).rejects.toMatchObject({
      code: "SAMPLING_INVALID",
    });
    await expect(collect({ prompt: "a" }, silent)).rejects.toMatchObject({
      code: "TOKENIZER_MISSING",
    });
  });

  it("stops on request, between tokens", async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = async () => {
      for await (const { index } of model.generate({
        prompt: "a",
        maxTokens: 20,
        ignoreEos: true,
        signal: controller.signal,
      })) {
        seen.push(index);
        if (index === 3) controller.abort();
      }
    };
    await expect(run()).rejects.toThrow(AbortedError);
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it("lets timers run, so that a signal can fire", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 5);
    using patient = randomModel({ device, seed: 2, config: { ...sizes, contextSize: 4_096 } });
    const options = { tokens: [1], maxTokens: 4_000, ignoreEos: true, signal: controller.signal };
    await expect(collect(options, patient)).rejects.toThrow(AbortedError);
  });

  it("frees its cache when the caller stops listening", async () => {
    for await (const { index } of model.generate({ prompt: "a", ignoreEos: true }))
      if (index === 2) break;
    expect(device.memory().liveBytes).toBe(resting);
  });

  it.each([
    ["nothing to continue", {}, "PROMPT_INVALID"],
    ["two things to continue", { prompt: "a", tokens: [1] }, "PROMPT_INVALID"],
    ["an empty prompt", { prompt: "" }, "PROMPT_INVALID"],
    ["no samples", { prompt: "a", samples: 0 }, "SAMPLING_INVALID"],
    ["part of an alternative", { prompt: "a", alternatives: 0.5 }, "SAMPLING_INVALID"],
    ["an empty stop string", { prompt: "a", stopStrings: [""] }, "SAMPLING_INVALID"],
    ["a penalty of 0", { prompt: "a", repetitionPenalty: 0 }, "SAMPLING_INVALID"],
    ["no new tokens", { prompt: "a", maxTokens: 0 }, "SAMPLING_INVALID"],
    ["a negative temperature", { prompt: "a", temperature: -1 }, "SAMPLING_INVALID"],
    ["a full context", { tokens: new Array<number>(32).fill(0) }, "CONTEXT_OVERFLOW"],
    ["a token beyond the vocabulary", { tokens: [300] }, "TOKEN_RANGE"],
    [
      "a misspelt site",
      { prompt: "a", edits: [{ site: "logit", edit: replaceWith([0]) }] },
      "SITE_UNKNOWN",
    ],
  ])("refuses %s", async (_, options, code) => {
    await expect(collect(options)).rejects.toMatchObject({ code });
  });
});
