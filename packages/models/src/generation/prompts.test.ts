// Several prompts at once, edits of one part, and captures, each against one prompt alone or one whole pass.
import { fc, test } from "@fast-check/vitest";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { byteTokenizer, deviation, read, referenceDevice } from "../__fixtures__/support.ts";
import { addVector, replaceWith } from "../edits.ts";
import type { SiteEdit } from "../hook-run.ts";
import { randomModel } from "../random-model.ts";
import type { GeneratedToken } from "./continuation.ts";
import type { GenerateOptions } from "./generate.ts";

const device = referenceDevice();
const sizes = { layers: 2, dModel: 16, heads: 2, kvHeads: 1, dHead: 8, dMlp: 20, contextSize: 24 };
const tokenizer = byteTokenizer();
const models = {
  llama: randomModel({ device, seed: 2, tokenizer, config: sizes }),
  gpt2: randomModel({
    device,
    seed: 2,
    tokenizer,
    config: { ...sizes, architecture: "gpt2", kvHeads: 2 },
  }),
  mistral: randomModel({
    device,
    seed: 2,
    tokenizer,
    config: { ...sizes, architecture: "mistral", slidingWindow: 4 },
  }),
};
const model = models.llama;
const resting = device.memory().liveBytes;
afterEach(() => expect(device.memory().liveBytes).toBe(resting));
afterAll(() => {
  for (const one of Object.values(models)) one.dispose();
  device.dispose();
});

async function collect(options: GenerateOptions, from = model): Promise<GeneratedToken[]> {
  const tokens: GeneratedToken[] = [];
  for await (const token of from.generate(options)) tokens.push(token);
  return tokens;
}

const promptOf = (length: number, seed: number) =>
  Array.from({ length }, (_, index) => (31 * index + 17 * seed + 5) % 256);
const vector = Float32Array.from({ length: 16 }, (_, index) => Math.sin(index));
const site = "blocks.0.hook_resid_post";

describe("several prompts", () => {
  test.prop(
    [
      fc.constantFrom(...Object.values(models)),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 2 }),
      fc.constantFrom(0, 1.3),
    ],
    { numRuns: 15 },
  )("go on as each does alone", async (from, lengths, samples, temperature) => {
    const prompts = lengths.map((length, seed) => ({ tokens: promptOf(length, seed) }));
    // Some end early, so that the batch shrinks.
    const stopTokens = Array.from({ length: 40 }, (_, index) => 6 * index);
    const options = { samples, temperature, stopTokens, seed: 6, maxTokens: 7 };
    const together = await collect({ ...options, prompts }, from);
    for (const [prompt, one] of prompts.entries()) {
      const alone = await collect({ ...options, ...one }, from);
      const mine = together.filter((token) => token.prompt === prompt);
      const facts = ({ sample, index, token, text, finish }: GeneratedToken) => [
        sample,
        index,
        token,
        text,
        finish,
      ];
      expect(mine.map(facts)).toEqual(alone.map(facts));
      for (const [place, token] of mine.entries())
        expect(token.logProbability).toBeCloseTo(alone[place]?.logProbability ?? Number.NaN, 4);
    }
  });

  it("may be texts, and end where each one's own context does", async () => {
    const prompts = ["a", { tokens: new Array<number>(22).fill(7) }, "long"];
    const made = await collect({ prompts, ignoreEos: true });
    const counts = [0, 1, 2].map((prompt) => made.filter((one) => one.prompt === prompt).length);
    expect(counts).toEqual([23, 2, 20]);
    const alone = await collect({ prompt: "long", ignoreEos: true });
    expect(made.filter((one) => one.prompt === 2).map(({ token }) => token)).toEqual(
      alone.map(({ token }) => token),
    );
  });

  it.each([
    ["none", { prompts: [] }],
    ["one of no tokens", { prompts: ["a", ""] }],
    ["others beside them", { prompts: ["a"], prompt: "b" }],
    ["one of two kinds", { prompts: [{ prompt: "a", tokens: [1] }] }],
  ])("are refused: %s", async (_, options) => {
    await expect(collect(options)).rejects.toMatchObject({ code: "PROMPT_INVALID" });
  });

  it("are told apart by edits, however many of their samples are left", async () => {
    const strengths = [0, 4, -3];
    const prompts = [3, 1, 6].map((length, seed) => ({ tokens: promptOf(length, seed) }));
    const stopTokens = Array.from({ length: 40 }, (_, index) => 6 * index);
    const options = { samples: 2, temperature: 1.3, stopTokens, maxTokens: 8 };
    const edits = [{ site, edit: addVector(vector, { scale: strengths }) }];
    const together = await collect({ ...options, prompts, edits });
    for (const [prompt, one] of prompts.entries()) {
      const steered = [{ site, edit: addVector(vector, { scale: strengths[prompt] }) }];
      const alone = await collect({ ...options, ...one, edits: steered });
      expect(together.filter((token) => token.prompt === prompt).map(({ token }) => token)).toEqual(
        alone.map(({ token }) => token),
      );
    }
  });
});

describe("edits of one part", () => {
  it.each(["prompt", "generated", "all"] as const)(
    "%s: generating gives what one pass over the whole text gives",
    async (part) => {
      const edits: SiteEdit[] = [{ site, edit: addVector(vector, { part, scale: 3 }) }];
      const prompts = [2, 5].map((length, seed) => ({ tokens: promptOf(length, seed) }));
      const made = await collect({ prompts, edits, maxTokens: 5, ignoreEos: true });
      for (const [prompt, { tokens }] of prompts.entries()) {
        const mine = made.filter((one) => one.prompt === prompt);
        const text = [...tokens, ...mine.map(({ token }) => token)];
        const { logits } = await read(model, [text], { edits, promptLengths: [tokens.length] });
        const { vocabulary } = model.config;
        for (const { index, token, logProbability } of mine) {
          const at = (tokens.length + index - 1) * vocabulary;
          const row = logits.subarray(at, at + vocabulary);
          const mass = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
          expect(logProbability).toBeCloseTo((row[token] ?? 0) - Math.log(mass), 4);
        }
      }
    },
  );

  it("differ from one another", async () => {
    const logProbabilities = async (part: "prompt" | "generated" | "all") => {
      const edits: SiteEdit[] = [{ site, edit: addVector(vector, { part, scale: 3 }) }];
      const made = await collect({ tokens: [1, 2, 3], edits, maxTokens: 3, ignoreEos: true });
      return made.map(({ logProbability }) => logProbability);
    };
    const [prompt, generated, all] = await Promise.all(
      (["prompt", "generated", "all"] as const).map(logProbabilities),
    );
    const plain = await collect({ tokens: [1, 2, 3], maxTokens: 3, ignoreEos: true });
    expect(prompt?.[0]).toBe(all?.[0]);
    expect(generated?.[0]).toBe(plain[0]?.logProbability);
    expect(new Set([prompt?.[1], generated?.[1], all?.[1], plain[1]?.logProbability]).size).toBe(4);
  });
});

describe("captures while generating", () => {
  const sites = [
    "hook_embed",
    site,
    "blocks.1.attn.hook_pattern",
    "blocks.1.attn.hook_z",
    "logits",
  ];

  it("are those of one pass over the text, at the position before each token", async () => {
    const prompts = [2, 5].map((length, seed) => ({ tokens: promptOf(length, seed) }));
    const edits = [{ site, edit: addVector(vector, { part: "generated" as const }) }];
    const made = await collect({
      prompts,
      edits,
      samples: 2,
      temperature: 1,
      capture: sites,
      maxTokens: 4,
      ignoreEos: true,
    });
    expect(made).toHaveLength(16);
    for (const [prompt, { tokens }] of prompts.entries()) {
      for (const sample of [0, 1]) {
        const mine = made.filter((one) => one.prompt === prompt && one.sample === sample);
        const text = [...tokens, ...mine.map(({ token }) => token)];
        const whole = await read(model, [text], {
          edits,
          capture: sites,
          promptLengths: [tokens.length],
        });
        for (const { index, captured } of mine) {
          expect([...captured.keys()]).toEqual(sites);
          const at = tokens.length + index - 1;
          for (const name of sites) {
            const found = captured.get(name) ?? new Float32Array();
            const values = whole.at(name);
            const expected =
              name === "blocks.1.attn.hook_pattern"
                ? Float32Array.from(
                    [0, 1].flatMap((head) => {
                      const row = (head * text.length + at) * text.length;
                      return [...values.subarray(row, row + at + 1)];
                    }),
                  )
                : values.subarray(
                    (at * values.length) / text.length,
                    ((at + 1) * values.length) / text.length,
                  );
            expect(deviation(found, expected), name).toBeLessThan(2e-5);
          }
        }
      }
    }
  });

  it("are none unless asked for, and of known sites", async () => {
    const [first] = await collect({ tokens: [1], maxTokens: 1 });
    expect(first?.captured.size).toBe(0);
    await expect(collect({ tokens: [1], capture: ["hook_embd"] })).rejects.toMatchObject({
      code: "SITE_UNKNOWN",
    });
  });

  it("see what edits made of a value", async () => {
    const edits = [{ site, edit: replaceWith(vector) }];
    const made = await collect({
      tokens: [1, 2],
      edits,
      capture: [site],
      maxTokens: 2,
      ignoreEos: true,
    });
    for (const { captured } of made) expect(captured.get(site)).toEqual(vector);
  });
});
