import { fc, test } from "@fast-check/vitest";
import { Random, ShapeError } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { antipodality, cosineMatrix } from "./antipodality.ts";
import { antipodalityNull } from "./antipodality-null.ts";
import { cosine, randomDirections, type Rows, rowOf } from "./vectors.ts";

registerMatchers(expect);
const device = new Device(createReferenceBackend());

/** s_i by its definition, in f64, over all n x n. */
function bruteForce(encoder: Rows, decoder: Rows): { score: number; partner: number }[] {
  return Array.from({ length: encoder.count }, (_, i) => {
    let best = { score: Number.NEGATIVE_INFINITY, partner: -1 };
    for (let j = 0; j < encoder.count; j++) {
      if (j === i) continue;
      const score =
        cosine(rowOf(encoder, i), rowOf(encoder, j)) * cosine(rowOf(decoder, i), rowOf(decoder, j));
      if (score > best.score) best = { score, partner: j };
    }
    return best;
  });
}

/** Random SAE in which latents 2q and 2q + 1 are nearly opposite in encoder and decoder, for q < pairs. */
function planted(
  pairs: number,
  n: number,
  d: number,
  seed: number,
): { encoder: Rows; decoder: Rows } {
  const random = new Random(seed);
  const encoder = randomDirections(n, d, random);
  const decoder = randomDirections(n, d, random);
  for (const rows of [encoder, decoder]) {
    for (let pair = 0; pair < pairs; pair++) {
      const first = rowOf(rows, 2 * pair);
      rowOf(rows, 2 * pair + 1).set(
        first.map((value) => -value + (0.1 / Math.sqrt(d)) * random.normal()),
      );
    }
  }
  return { encoder, decoder };
}

describe("antipodality", () => {
  it("finds planted pairs, mutual and above 0.9, and leaves the rest at the null", async () => {
    const { encoder, decoder } = planted(4, 256, 48, 11);
    const scores = await antipodality({ device, encoder, decoder });
    for (const entry of scores.slice(0, 8)) {
      expect(entry.score).toBeGreaterThan(0.9);
      expect(entry.partner).toBe(entry.latent ^ 1);
      expect(entry.mutual).toBe(true);
      expect(Math.max(entry.encoderCosine, entry.decoderCosine)).toBeLessThan(-0.9);
    }
    const rest = scores.slice(8).map((entry) => entry.score);
    const { mean, high } = antipodalityNull({ n: 256, d: 48 });
    expect(rest.reduce((sum, score) => sum + score, 0) / rest.length).toBeCloseTo(mean, 1.9);
    expect(rest.filter((score) => score > high).length).toBeLessThanOrEqual(3);
  });

  it("falls to the null when decoder rows are shuffled", async () => {
    const { encoder, decoder } = planted(4, 256, 48, 11);
    const order = new Random(3).permutation(256);
    const shuffled: Rows = { ...decoder, data: new Float32Array(decoder.data.length) };
    for (const [to, from] of order.entries()) rowOf(shuffled, to).set(rowOf(decoder, from));
    const scores = await antipodality({ device, encoder, decoder: shuffled });
    expect(Math.max(...scores.slice(0, 8).map((entry) => entry.score))).toBeLessThan(0.45);
  });

  it("equals the definition in f64, whatever the rows asked for and the block", async () => {
    const { encoder, decoder } = planted(2, 40, 9, 4);
    const reference = bruteForce(encoder, decoder);
    for (const block of [1, 7, 40]) {
      const rows = [39, 0, 17, 1];
      const scores = await antipodality({ device, encoder, decoder, rows, block });
      expect(scores.map((entry) => entry.latent)).toEqual(rows);
      expect(scores.map((entry) => entry.partner)).toEqual(
        rows.map((row) => reference[row]?.partner),
      );
      expect(scores.map((entry) => entry.score)).toBeClose(
        rows.map((row) => reference[row]?.score ?? 0),
        { rtol: 1e-5, atol: 1e-6 },
      );
    }
    const all = await antipodality({ device, encoder, decoder });
    expect(all.map((entry) => entry.mutual)).toEqual(
      reference.map(({ partner }, row) => reference[partner]?.partner === row),
    );
  });

  test.prop(
    [
      fc.integer({ min: 0, max: 1e6 }),
      fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 24, maxLength: 24 }),
    ],
    { numRuns: 20 },
  )("does not change when rows are rescaled", async (seed, factors) => {
    const { encoder, decoder } = planted(1, 12, 6, seed);
    const scaled = (rows: Rows, offset: number): Rows => ({
      ...rows,
      data: rows.data.map((value, index) => value * (factors[offset + Math.floor(index / 6)] ?? 1)),
    });
    const before = await antipodality({ device, encoder, decoder });
    const after = await antipodality({
      device,
      encoder: scaled(encoder, 0),
      decoder: scaled(decoder, 12),
    });
    expect(after.map((entry) => entry.score)).toBeClose(
      before.map((entry) => entry.score),
      { rtol: 1e-5, atol: 1e-6 },
    );
  });

  it("tells duplicates by their signs and drops them when both must be negative", async () => {
    const { encoder, decoder } = planted(1, 64, 16, 8);
    for (const rows of [encoder, decoder]) rowOf(rows, 3).set(rowOf(rows, 2));
    const [, , duplicate] = await antipodality({ device, encoder, decoder });
    expect(duplicate).toMatchObject({ partner: 3, mutual: true });
    expect(duplicate?.encoderCosine).toBeGreaterThan(0.99);
    const strict = await antipodality({ device, encoder, decoder, requireNegative: true });
    expect(strict[2]?.score).toBeLessThan(0.6);
    expect(strict[0]?.score).toBeGreaterThan(0.9);
    expect(
      strict.every(
        (entry) => entry.partner < 0 || (entry.encoderCosine < 0 && entry.decoderCosine < 0),
      ),
    ).toBe(true);
  });

  it("gives latents without weights a score of 0", async () => {
    const { encoder, decoder } = planted(1, 8, 5, 2);
    rowOf(encoder, 6).fill(0);
    const [entry] = await antipodality({ device, encoder, decoder, rows: [6] });
    expect(entry?.score).toBe(0);
  });

  it("refuses an encoder that is the wrong way round, and keeps no memory", async () => {
    const { encoder, decoder } = planted(1, 8, 5, 2);
    await expect(
      antipodality({ device, encoder: { ...encoder, count: 5, width: 8 }, decoder }),
    ).rejects.toThrow(ShapeError);
    await antipodality({ device, encoder, decoder });
    expectNoLeaks(device);
  });
});

describe("cosineMatrix", () => {
  it("has ones on its diagonal and the partners at -1", () => {
    const { encoder } = planted(2, 20, 12, 5);
    const matrix = cosineMatrix(
      {
        ...encoder,
        data: encoder.data.map((value, index) => value * (1 + Math.floor(index / 12))),
      },
      [0, 1, 2, 3],
    );
    expect(matrix.map((row, index) => row[index] ?? 0)).toBeClose([1, 1, 1, 1], {
      rtol: 1e-6,
      atol: 0,
    });
    expect(matrix[2]?.[3]).toBeLessThan(-0.98);
  });
});
