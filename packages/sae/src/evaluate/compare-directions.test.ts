import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { fc, test } from "@fast-check/vitest";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { Sae } from "../sae.ts";
import { maximumAssignment } from "./assignment.ts";
import { compareDirections } from "./compare-directions.ts";
import { seedStability } from "./seed-stability.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

function totalOf(scores: readonly number[], columns: number, assigned: Int32Array): number {
  return [...assigned.entries()].reduce(
    (sum, [row, column]) => sum + (column < 0 ? 0 : (scores[row * columns + column] ?? 0)),
    0,
  );
}

/** The best total over all one-to-one assignments, by trying each. */
function bestTotal(scores: readonly number[], rows: number, columns: number): number {
  const used = new Set<number>();
  const from = (row: number, left: number): number => {
    if (row === rows) return 0;
    let best = left < rows - row ? from(row + 1, left) : Number.NEGATIVE_INFINITY;
    for (let column = 0; column < columns; column++) {
      if (used.has(column)) continue;
      used.add(column);
      best = Math.max(best, (scores[row * columns + column] ?? 0) + from(row + 1, left - 1));
      used.delete(column);
    }
    return best;
  };
  return from(0, columns);
}

describe("maximumAssignment", () => {
  it("reaches the totals of SciPy's linear_sum_assignment", async () => {
    const cases = z
      .array(
        z.object({
          rows: z.number(),
          columns: z.number(),
          scores: z.array(z.number()),
          total: z.number(),
        }),
      )
      .parse(
        JSON.parse(readFileSync(new URL("__fixtures__/assignment.json", import.meta.url), "utf8")),
      );
    expect(cases).toHaveLength(6);
    for (const { rows, columns, scores, total } of cases) {
      const assigned = await maximumAssignment(scores, rows, columns);
      expect(totalOf(scores, columns, assigned)).toBeCloseTo(total, 9);
      const used = [...assigned].filter((column) => column >= 0);
      expect(new Set(used).size).toBe(Math.min(rows, columns));
    }
  });

  test.prop(
    [
      fc
        .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }))
        .chain(([rows, columns]) =>
          fc.record({
            rows: fc.constant(rows),
            columns: fc.constant(columns),
            scores: fc.array(fc.integer({ min: -4, max: 4 }), {
              minLength: rows * columns,
              maxLength: rows * columns,
            }),
          }),
        ),
    ],
    { numRuns: 200 },
  )("is as good as the best of all assignments", async ({ rows, columns, scores }) => {
    const assigned = await maximumAssignment(scores, rows, columns);
    expect(totalOf(scores, columns, assigned)).toBe(bestTotal(scores, rows, columns));
  });
});

it("can be stopped in the middle, and says how far it is", async () => {
  const size = 700;
  // All alike but for the last digits: the worst of cases for augmenting paths.
  const hard = Float64Array.from(
    { length: size * size },
    (_, index) => Math.floor(index / size) * (index % size),
  );
  const controller = new AbortController();
  const seen: number[] = [];
  const matching = maximumAssignment(hard, size, size, {
    signal: controller.signal,
    onProgress: ({ done }) => {
      seen.push(done);
      controller.abort();
    },
  });
  await expect(matching).rejects.toMatchObject({ code: "ABORTED" });
  expect(seen).toHaveLength(1);
});

const [count, width] = [12, 20];
const random = new Random(3);
const rows = random.fillNormal(new Float32Array(count * width));
const order = random.permutation(count);
/** Row i of the result is row order[i], longer, with noise. */
const shuffled = (noise: number, sign = 1): Float32Array =>
  Float32Array.from(
    { length: count * width },
    (_, index) =>
      sign * 3 * (rows[(order[Math.floor(index / width)] ?? 0) * width + (index % width)] ?? 0) +
      3 * noise * random.normal(),
  );

describe("compareDirections", () => {
  it("finds a permutation, whatever the lengths", async () => {
    const result = await compareDirections(
      { rows, width },
      { rows: shuffled(0), width },
      { device },
    );
    expect([result.meanMatchedCosine, result.meanMaxCosine, result.foundAgain]).toBeClose(
      [1, 1, 1],
      { rtol: 1e-6, atol: 0 },
    );
    expect(result.uniqueness).toBe(1);
    for (const { a, b } of result.matches) expect(order[b]).toBe(a);
  });

  it("does not let two directions share a partner, as the nearest ones do", async () => {
    // All rows of a point the way of b's first.
    const same = Float32Array.from({ length: 3 * width }, (_, index) => rows[index % width] ?? 0);
    const result = await compareDirections(
      { rows: same, width },
      { rows, width, only: [0, 1, 2] },
      { device },
    );
    expect(result.meanMaxCosine).toBeCloseTo(1, 5);
    expect(result.meanMaxCosineReverse).toBeLessThan(0.7);
    expect(result.meanMatchedCosine).toBeLessThan(0.7);
    expect(result.uniqueness).toBe(0);
    expect(result.matches.map(({ b }) => b).toSorted((x, y) => x - y)).toEqual([0, 1, 2]);
  });

  it("takes opposites for the same only where told to", async () => {
    const opposite = { rows: shuffled(0, -1), width };
    const signed = await compareDirections({ rows, width }, opposite, { device });
    const absolute = await compareDirections({ rows, width }, opposite, { device, absolute: true });
    expect(signed.meanMatchedCosine).toBeLessThan(0.6);
    expect(absolute.meanMatchedCosine).toBeCloseTo(1, 5);
  });

  it("falls with noise, and its interval holds it", async () => {
    const result = await compareDirections(
      { rows, width },
      { rows: shuffled(1), width },
      { device },
    );
    expect(result.meanMatchedCosine).toBeGreaterThan(0.4);
    expect(result.meanMatchedCosine).toBeLessThan(0.95);
    const [low, high] = result.meanMatchedCosineInterval ?? [0, 0];
    expect(low).toBeLessThan(result.meanMatchedCosine);
    expect(high).toBeGreaterThan(result.meanMatchedCosine);
  });

  it("refuses what cannot be compared", async () => {
    const fails = (a: Parameters<typeof compareDirections>[0], code: string) =>
      expect(compareDirections(a, { rows, width }, { device })).rejects.toMatchObject({ code });
    await fails({ rows, width: 10 }, "DIRECTIONS_WIDTH");
    await fails({ rows, width, only: [] }, "DIRECTIONS_EMPTY");
    await expect(
      compareDirections({ rows, width }, { rows, width }, { device, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("seedStability", () => {
  const saeOf = (decoder: Float32Array, encoderRows: Float32Array): Sae =>
    Sae.fromWeights(
      device,
      { architecture: "topk", k: 2, dIn: width, dSae: count },
      {
        decoder,
        encoderRows,
        encoderBias: new Float32Array(count),
        decoderBias: new Float32Array(width),
        threshold: null,
      },
    );

  it("tells latents that are written alike from those that are read alike too", async () => {
    const other = shuffled(0);
    const noise = random.fillNormal(new Float32Array(count * width));
    using first = saeOf(rows, rows);
    using second = saeOf(other, other);
    using third = saeOf(other, noise);
    const result = await seedStability([first, second, third]);
    expect(result.pairs.map(({ pair }) => pair)).toEqual([
      [0, 1],
      [0, 2],
      [1, 2],
    ]);
    expect(result.pairs.map(({ sharedLatents }) => sharedLatents)).toEqual([1, 0, 0]);
    expect(result.pairs.map(({ foundAgain }) => foundAgain)).toEqual([1, 1, 1]);
    expect(result.meanMatchedCosine).toBeCloseTo(1, 5);
    expect(result.sharedLatents).toBeCloseTo(1 / 3, 9);

    const densities = Float32Array.from({ length: count }, (_, latent) => (latent < 4 ? 0.1 : 0));
    const alive = await seedStability([first, first], { densities: [densities, densities] });
    expect(alive.pairs[0]?.sizes).toEqual([4, 4]);
    await expect(seedStability([first])).rejects.toMatchObject({ code: "SEEDS_FEW" });
  });
});
