import { ConfigError, Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { describe, expect, it } from "vitest";
import { antipodality } from "./antipodality.ts";
import { antipodalityNull, type AntipodalityNullOptions } from "./antipodality-null.ts";
import { randomDirections, type Rows } from "./vectors.ts";

const device = new Device(createReferenceBackend());

/** Scores of Gaussian SAEs, by drawing them. */
async function drawn(
  { n, d, tied = false, requireNegative = false }: AntipodalityNullOptions,
  saes: number,
): Promise<number[]> {
  const scores: number[] = [];
  for (let seed = 0; seed < saes; seed++) {
    const random = new Random(seed, 7);
    const encoder: Rows = randomDirections(n, d, random);
    const decoder = tied ? encoder : randomDirections(n, d, random);
    scores.push(
      ...(await antipodality({ device, encoder, decoder, requireNegative })).map(
        (entry) => entry.score,
      ),
    );
  }
  return scores;
}

describe("antipodalityNull", () => {
  it.each([
    [{ n: 160, d: 24 }],
    [{ n: 160, d: 24, tied: true }],
    [{ n: 160, d: 24, requireNegative: true }],
    [{ n: 40, d: 3 }],
    [{ n: 3, d: 5 }],
  ] satisfies [AntipodalityNullOptions][])("is what Gaussian weights give: %o", async (options) => {
    const scores = await drawn(options, options.n < 10 ? 400 : 5);
    const { mean, median, high } = antipodalityNull(options);
    const average = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    const deviation = Math.sqrt(
      scores.reduce((sum, score) => sum + (score - average) ** 2, 0) / scores.length,
    );
    // Scores of one SAE share columns, so allow five standard errors.
    const error = (5 * deviation) / Math.sqrt(scores.length);
    expect(Math.abs(average - mean)).toBeLessThan(error);
    if (options.n >= 10)
      expect(
        Math.abs(scores.filter((score) => score > median).length / scores.length - 0.5),
      ).toBeLessThan(0.09);
    expect(scores.filter((score) => score > high).length / scores.length).toBeLessThan(0.008);
  });

  it.each([
    [16384, 2304, 0.004, 0.008, 0.0006],
    [4096, 256, 0.027, 0.055, 0.001],
    [1024, 64, 0.09, 0.17, 0.006],
    [256, 48, 0.09, 0.18, 0.006],
  ])("gives the published means for n = %i, d = %i", (n, d, independent, tied, tolerance) => {
    expect(Math.abs(antipodalityNull({ n, d }).mean - independent)).toBeLessThan(tolerance);
    expect(Math.abs(antipodalityNull({ n, d, tied: true }).mean - tied)).toBeLessThan(tolerance);
  });

  it("refuses sizes without a pair", () => {
    expect(() => antipodalityNull({ n: 1, d: 8 })).toThrow(ConfigError);
    expect(() => antipodalityNull({ n: 8, d: 1 })).toThrow("d = 1");
  });
});
