import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { alphabetTest, extremeTokens, firstLetter, letterIndex } from "./alphabet.ts";
import { eachLogitContribution, logitLens } from "./logit-lens.ts";
import { asRows, randomDirections, type Rows, rowOf } from "./vectors.ts";

registerMatchers(expect);
const device = new Device(createReferenceBackend());

describe("firstLetter", () => {
  it.each([
    [" Apple", "a"],
    ["\u0120apple", "a"],
    ["\u2581Zoo", "z"],
    ["\n\n x", "x"],
    ["\u00c9tude", "\u00e9"],
    ["\u041c\u0438\u0440", "\u043c"],
    [" \u6771", "\u6771"],
    ["7up", ""],
    ["(a", ""],
    ["\ufffd", ""],
    ["  ", ""],
    ["", ""],
  ])("of %j is %j", (text, letter) => {
    expect(firstLetter(text)).toBe(letter);
  });
});

const letters = "abcdefghijklmnopqrst".split("");
const texts = Array.from({ length: 2000 }, (_, id) => ` ${letters[id % 20] ?? ""}${id}`);
const index = letterIndex(texts);
const d = 48;
const random = new Random(9);
const unembedding = asRows(random.fillNormal(new Float32Array(2000 * d)), d);
const gain = random.fillNormal(new Float32Array(d)).map((value) => 1 + 0.3 * value);

/** Mean of a letter's unembedding rows less the overall mean, undone by the gain, with noise: what an alphabet latent writes. */
function writes(letter: string, noise: number): Float32Array {
  const own = texts.flatMap((_, id) => (index.letters[id] === letter ? [id] : []));
  const mean = (ids: readonly number[]): Float64Array => {
    const sum = new Float64Array(d);
    for (const id of ids)
      for (let column = 0; column < d; column++)
        sum[column] = (sum[column] ?? 0) + (unembedding.data[id * d + column] ?? 0) / ids.length;
    return sum;
  };
  const [ownMean, all] = [mean(own), mean([...texts.keys()])];
  return Float32Array.from(
    ownMean,
    (value, column) => (value - (all[column] ?? 0)) / (gain[column] ?? 1) + noise * random.normal(),
  );
}

async function logitsOf(directions: Rows): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  await eachLogitContribution({
    device,
    directions,
    unembedding,
    gain,
    visit: (_, logits) => rows.push(logits.slice()),
  });
  return rows;
}

describe("alphabetTest", () => {
  // Give each letter's tokens a common part, as real vocabularies have: else no direction could separate them.
  const parts = randomDirections(20, d, random);
  for (let id = 0; id < 2000; id++) {
    const part = rowOf(parts, id % 20);
    for (let column = 0; column < d; column++)
      unembedding.data[id * d + column] =
        (unembedding.data[id * d + column] ?? 0) + 12 * (part[column] ?? 0);
  }

  it("finds the planted letter on the side where it was planted", async () => {
    const directions = asRows(new Float32Array(2 * d), d);
    rowOf(directions, 0).set(writes("c", 0.05));
    rowOf(directions, 1).set(writes("k", 0.05).map((value) => -value));
    const [promoting = new Float32Array(), suppressing = new Float32Array()] =
      await logitsOf(directions);
    // 100 tokens a letter: K is half of them.
    expect(alphabetTest(promoting, index)).toMatchObject({
      letter: "c",
      side: "promoted",
      k: 50,
      passes: true,
    });
    expect(alphabetTest(suppressing, index)).toMatchObject({
      letter: "k",
      side: "suppressed",
      passes: true,
    });
    expectNoLeaks(device);
  });

  it("does not fire on random directions without letter structure", () => {
    const verdicts = Array.from({ length: 200 }, () =>
      alphabetTest(random.fillNormal(new Float32Array(2000)), index),
    );
    expect(verdicts.filter((verdict) => verdict.passes)).toHaveLength(0);
    // The best of 20 letters on two sides is well above the base rate of 0.05, and far below the cut.
    expect(Math.max(...verdicts.map((verdict) => verdict.purity))).toBeLessThan(0.35);
  });

  it("judges a letter at half its tokens, so that a rare one can pass and a very rare one cannot", () => {
    const rare = letterIndex([...texts, ...Array.from({ length: 24 }, () => "z"), "q", "q"]);
    const logits = new Float32Array(2026);
    logits.fill(1, 2000, 2012);
    expect(alphabetTest(logits, rare)).toMatchObject({
      letter: "z",
      k: 12,
      purity: 1,
      passes: true,
    });
    const two = new Float32Array(2026);
    two.fill(1, 2024, 2026);
    expect(alphabetTest(two, rare).passes).toBe(false);
  });

  it("counts tokens without a letter against the purity, and leaves special ones out", () => {
    const mixed = letterIndex(
      [...Array.from({ length: 40 }, () => "a"), ...Array.from({ length: 10 }, () => "7"), "<s>"],
      [50],
    );
    expect(mixed.tokens).toBe(50);
    const logits = Float32Array.from({ length: 51 }, (_, id) =>
      id === 50 ? 9 : id >= 40 ? 5 : id < 20 ? 1 : 0,
    );
    expect(alphabetTest(logits, mixed)).toMatchObject({
      letter: "a",
      side: "suppressed",
      purity: 1,
    });
    expect(extremeTokens(logits, 3, "promoted", mixed.excluded)).toEqual([40, 41, 42]);
  });
});

describe("logitLens", () => {
  it("equals a full sort, in deviations from the mean", () => {
    const logits = random.fillNormal(new Float32Array(5000));
    const order = Array.from(logits.keys()).sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0));
    const { promoted, suppressed } = logitLens(logits, 10);
    expect(promoted.map((token) => token.id)).toEqual(order.slice(0, 10));
    expect(suppressed.map((token) => token.id)).toEqual(order.slice(-10).toReversed());
    expect(promoted[0]?.score).toBeGreaterThan(3);
    const shifted = logitLens(
      logits.map((value) => 7 * value + 3),
      10,
    );
    expect(shifted.promoted.map((token) => token.score)).toBeClose(
      promoted.map((token) => token.score),
      { rtol: 1e-4, atol: 1e-4 },
    );
  });

  it("contributes w diag(gain) W_U, as written out in f64", async () => {
    const directions = randomDirections(3, d, random);
    const rows = await logitsOf(directions);
    const expected = Array.from({ length: 3 }, (_, row) =>
      texts.slice(0, 5).map((_text, id) => {
        let sum = 0;
        for (let column = 0; column < d; column++)
          sum +=
            (directions.data[row * d + column] ?? 0) *
            (gain[column] ?? 0) *
            (unembedding.data[id * d + column] ?? 0);
        return sum;
      }),
    );
    expect(rows.flatMap((row) => Array.from(row.subarray(0, 5)))).toBeClose(expected.flat(), {
      rtol: 1e-4,
      atol: 1e-4,
    });
  });
});
