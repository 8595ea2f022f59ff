import { Random } from "@latentkit/core";
import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { chooseAmong } from "./choose.ts";
import { lensRanks } from "./lens.ts";
import { replies } from "./replies.ts";
import { scoreTails } from "./score.ts";

const device = new Device(createReferenceBackend());
const config = {
  layers: 2,
  dModel: 16,
  heads: 2,
  kvHeads: 1,
  dHead: 8,
  dMlp: 24,
  vocabulary: 31,
  contextSize: 24,
};
// Larger logits than random weights give, so that there is something to choose among.
const base = randomModel({ device, seed: 4, config: { ...config, tiedEmbeddings: false } });
const head = device.keep(
  device.tensor(new Random(9).fillNormal(new Float32Array(31 * 16), 1), [31, 16]),
);
const model = base.withWeights(new Map([["lm_head.weight", head]]));
const live = device.memory().liveBytes;
afterAll(() => {
  expect(device.memory().liveBytes).toBe(live);
  model.dispose();
  base.dispose();
  head.dispose();
});

const random = new Random(8);
const sequence = (length: number): number[] => Array.from({ length }, () => random.integer(31));

/** ln softmax of each position's logits, one sequence at a time, in f64. */
async function slow(tokens: readonly number[]): Promise<number[][]> {
  using result = model.run([tokens]);
  const logits = await result.logits!.floats();
  return tokens.map((_, position) => {
    const row = [...logits.subarray(position * 31, (position + 1) * 31)];
    const most = Math.max(...row);
    const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most;
    return row.map((value) => value - total);
  });
}

describe("scoreTails", () => {
  const requests = [3, 9, 5, 9, 2, 14].map((length, index) => ({
    tokens: sequence(length),
    from: index % 2 === 0 ? 1 : length - 2,
  }));

  it.each([1, 20, 4_096])(
    "gives what one sequence at a time gives, in batches of %d tokens",
    async (batchTokens) => {
      const scores = await scoreTails(model, requests, { batchTokens, withDistributions: true });
      for (const [index, { tokens, from }] of requests.entries()) {
        const expected = await slow(tokens);
        const score = scores[index]!;
        const tail = tokens.slice(from);
        expect(score.logProbabilities).toHaveLength(tail.length);
        for (const [place, token] of tail.entries())
          expect(
            Math.abs(score.logProbabilities[place]! - expected[from - 1 + place]![token]!),
          ).toBeLessThan(1e-4);
        expect(
          Math.abs(score.total - score.logProbabilities.reduce((sum, value) => sum + value, 0)),
        ).toBeLessThan(1e-9);
        const tops = tail.map((_, place) => {
          const row = expected[from - 1 + place]!;
          return row.indexOf(Math.max(...row));
        });
        expect([...score.best]).toEqual(tops);
        expect(score.greedy).toBe(tail.every((token, place) => tops[place] === token));
        expect(score.distributions).toHaveLength(tail.length);
        for (const [place, row] of score.distributions.entries())
          for (const [token, value] of row.entries())
            expect(Math.abs(value - expected[from - 1 + place]![token]!)).toBeLessThan(1e-4);
      }
    },
  );

  it("refuses tails that are empty or have nothing before them", async () => {
    for (const from of [0, 3])
      await expect(scoreTails(model, [{ tokens: [1, 2, 3], from }])).rejects.toMatchObject({
        code: "SCORE_TAIL",
      });
  });

  it("stops when asked", async () => {
    await expect(
      scoreTails(model, requests, { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("chooseAmong", () => {
  it("finds what scoring every candidate in full finds", async () => {
    const requests = Array.from({ length: 40 }, (_, index) => ({
      prompt: sequence(2 + (index % 5)),
      candidates: Array.from({ length: 6 }, (_unused, candidate) => [
        // Half of them begin alike.
        ...(candidate % 2 === 0 ? [7, candidate] : [candidate * 3]),
        ...sequence(candidate % 3),
      ]),
      gold: index % 6,
    }));
    const found = await chooseAmong(model, requests);
    let right = 0;
    for (const [index, { prompt, candidates, gold }] of requests.entries()) {
      const totals: number[] = [];
      for (const tail of candidates) {
        const expected = await slow([...prompt, ...tail]);
        totals.push(
          tail.reduce((sum, token, place) => sum + expected[prompt.length - 1 + place]![token]!, 0),
        );
      }
      const best = totals.indexOf(Math.max(...totals));
      expect(found[index]!.chosen).toBe(best);
      expect(found[index]!.correct).toBe(best === gold);
      expect(Math.abs(found[index]!.goldScore - totals[gold]!)).toBeLessThan(1e-4);
      if (best === gold) right++;
    }
    // Both outcomes were seen.
    expect(right).toBeGreaterThan(0);
    expect(right).toBeLessThan(40);
  });
});

describe("replies", () => {
  const prompts = [4, 2, 4, 7, 2].map(sequence);

  it("are what the model generates greedily, one at a time", async () => {
    const found = await replies(model, prompts, { maxTokens: 8, stopTokens: [3, 17] });
    for (const [index, prompt] of prompts.entries()) {
      const expected: number[] = [];
      let finish: string | null = null;
      for await (const token of model.generate({
        tokens: prompt,
        maxTokens: 8,
        stopTokens: [3, 17],
      })) {
        expected.push(token.token);
        finish = token.finish;
      }
      expect(found[index]).toEqual({ tokens: expected, stopped: finish === "stop" });
    }
  });

  it("are drawn by prompt, number and seed, whatever the batch", async () => {
    const options = { maxTokens: 6, stopTokens: [], temperature: 1, seed: 2 };
    const together = await replies(model, prompts, options);
    expect(await replies(model, prompts, { ...options, batch: 1 })).toEqual(together);
    expect(await replies(model, prompts, { ...options, seed: 3 })).not.toEqual(together);
  });

  it("have the model's frequencies", async () => {
    const many = Array.from({ length: 600 }, () => [5, 6]);
    const made = await replies(model, many, {
      maxTokens: 1,
      stopTokens: [],
      temperature: 2,
      seed: 1,
    });
    const expected = (await slow([5, 6]))[1]!.map((value) => Math.exp(value / 2));
    const total = expected.reduce((sum, value) => sum + value, 0);
    const most = expected.indexOf(Math.max(...expected));
    const share = made.filter(({ tokens }) => tokens[0] === most).length / 600;
    const p = expected[most]! / total;
    expect(Math.abs(share - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 600));
  });

  it("end at the end of the context", async () => {
    const [reply] = await replies(model, [sequence(22)], { maxTokens: 8, stopTokens: [] });
    expect(reply).toMatchObject({ stopped: false });
    expect(reply!.tokens).toHaveLength(2);
  });
});

describe("lensRanks", () => {
  it("has the ranks of the model's logits at the last layer, and of the norm of the residual before", async () => {
    const requests = [
      { tokens: sequence(6), positions: [1, 5], targets: [4] },
      { tokens: sequence(9), positions: [0, 3, 8], targets: [7, 20] },
    ];
    const found = await lensRanks(model, requests, { batchTokens: 9 });
    const weights = await model.finalNormWeight().floats();
    const unembedding = await model.unembedding().floats();
    for (const [index, { tokens, positions, targets }] of requests.entries()) {
      expect(found[index]).toHaveLength(2);
      const last = await slow(tokens);
      using run = model.run([tokens], { capture: ["blocks.0.hook_resid_post"], logits: "none" });
      const residual = await run.captured.get("blocks.0.hook_resid_post")!.floats();
      for (const [place, position] of positions.entries()) {
        const rank = (row: readonly number[]): number =>
          Math.min(...targets.map((target) => row.filter((value) => value > row[target]!).length));
        expect(found[index]![1]![place]).toBe(rank(last[position]!));
        const x = residual.subarray(position * 16, (position + 1) * 16);
        const scale = Math.sqrt(
          x.reduce((sum, value) => sum + value * value, 0) / 16 + model.config.normEpsilon,
        );
        const logits = Array.from({ length: 31 }, (_, token) =>
          x.reduce(
            (sum, value, at) =>
              sum + (value / scale) * weights[at]! * unembedding[token * 16 + at]!,
            0,
          ),
        );
        expect(found[index]![0]![place]).toBe(rank(logits));
      }
    }
  });
});
