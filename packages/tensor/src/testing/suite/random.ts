/* oxlint-disable vitest/expect-expect -- agree(), holds() and gradientsAgree() assert */
import { RandomKey } from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import { mul } from "../../operators/arithmetic.ts";
import {
  bernoulli,
  categorical,
  dropout,
  randomBits,
  randomNormal,
  randomPermutation,
  randomUniform,
} from "../../operators/random.ts";
import { erf } from "../../reference/erf.ts";
import { agree, anySeed, exact, fewSize, holds, readAll, someSize, type Suite } from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

/** Logarithm, cosine and square root of f32: a few roundings, absolute where the cosine is near 0. */
const normals = { rtol: 2e-6, atol: 2e-6 };

const anyKey = fc
  .record({
    seed: fc.nat(),
    stream: fc.nat(),
    position: fc.constantFrom(0, 1, 2, 3, 4, 2 ** 34 - 6),
  })
  .map(({ seed, stream, position }) => new RandomKey(seed, stream, position));

/** Sizes around blocks of four words, vectors of four blocks, and what a thread takes at a time. */
const count = fc.constantFrom(0, 1, 2, 3, 4, 5, 15, 16, 17, 33, 130, 2047, 2049, 70_001);

export function randomSuite(suite: Suite): void {
  it("bits and uniforms are those of core's Random", async () => {
    await holds(fc.record({ key: anyKey, size: count }), async ({ key, size }) => {
      const read = await readAll(suite.device, 1, ({ device }) => ({
        bits: randomBits(device, [size], key),
        uniform: randomUniform(device, [size], key),
      }));
      const [bits, uniform] = [key.random(), key.random()];
      expect(read.get("bits")?.values).toEqual(
        Int32Array.from({ length: size }, () => bits.bits()),
      );
      expect(read.get("uniform")?.values).toEqual(
        Float32Array.from({ length: size }, () => uniform.uniform()),
      );
    });
  });

  it("the first words of key 0 are Random123's", async () => {
    const read = await readAll(suite.device, 2, ({ device }) => ({
      bits: randomBits(device, [4], new RandomKey(0)),
    }));
    const words = [...(read.get("bits")?.values ?? [])].map((word) => word >>> 0);
    expect(words).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  });

  it("normals are those of core's Random, but for rounding", async () => {
    await holds(fc.record({ key: anyKey, size: count }), async ({ key, size }) => {
      const read = await readAll(suite.device, 3, ({ device }) => ({
        normal: randomNormal(device, [size], key),
      }));
      const random = key.random();
      expect(read.get("normal")?.values ?? []).toBeClose(
        Float32Array.from({ length: size }, () => random.normal()),
        normals,
      );
    });
  });

  it("bounds, means and deviations agree with the reference", async () => {
    await agree(suite, 4, exact, ({ device }) => ({
      out: randomUniform(device, [5, 1001], new RandomKey(4), { low: -0.3, high: 1.7 }),
      one: randomUniform(device, [], new RandomKey(4), { low: 5, high: 5 }),
    }));
    await agree(suite, 4, { rtol: 1e-5, atol: 1e-4 }, ({ device }) => ({
      out: randomNormal(device, [5, 1001], new RandomKey(4), { mean: -3, deviation: 20 }),
    }));
  });

  it("permutations are the same on every device, and hold each number once", async () => {
    await holds(
      fc.record({ key: anyKey, size: fc.constantFrom(0, 1, 2, 5, 64, 1000, 20_003) }),
      async ({ key, size }) => {
        await agree(suite, 5, exact, ({ device }) => ({
          out: randomPermutation(device, size, key),
        }));
        const read = await readAll(suite.device, 5, ({ device }) => ({
          out: randomPermutation(device, size, key),
        }));
        expect(read.get("out")?.values.toSorted()).toEqual(
          Int32Array.from({ length: size }, (_, index) => index),
        );
      },
    );
  });

  it("every order of four is about as frequent", async () => {
    const { device } = suite;
    const seen = new Map<string, number>();
    const draws = 2400;
    for (const key of new RandomKey(6).split(draws)) {
      using order = randomPermutation(device, 4, key);
      const name = (await order.integers()).join("");
      seen.set(name, (seen.get(name) ?? 0) + 1);
    }
    expect(seen.size).toBe(24);
    // 99.9th percentile of chi squared with 23 degrees of freedom.
    expect(chiSquared([...seen.values()], new Array<number>(24).fill(1 / 24))).toBeLessThan(49.7);
  });

  it("uniforms and normals have their distributions", async () => {
    const size = 200_000;
    const read = await readAll(suite.device, 7, ({ device }) => ({
      uniform: randomUniform(device, [size], new RandomKey(7)),
      normal: randomNormal(device, [size], new RandomKey(7, 1)),
    }));
    const uniform = Float64Array.from(read.get("uniform")?.values ?? []);
    const normal = Float64Array.from(read.get("normal")?.values ?? []);
    // Five standard errors of each moment.
    const within = (values: Float64Array, expected: number, variance: number): void => {
      const mean = values.reduce((sum, value) => sum + value, 0) / size;
      expect(Math.abs(mean - expected)).toBeLessThan(5 * Math.sqrt(variance / size));
    };
    within(uniform, 1 / 2, 1 / 12);
    within(
      uniform.map((value) => (value - 1 / 2) ** 2),
      1 / 12,
      1 / 180,
    );
    within(normal, 0, 1);
    within(
      normal.map((value) => value ** 2),
      1,
      2,
    );
    within(
      normal.map((value) => value ** 3),
      0,
      15,
    );
    within(
      normal.map((value) => value ** 4),
      3,
      96,
    );
    // Neighbours are not correlated.
    within(
      normal.map((value, index) => value * (normal[(index + 1) % size] ?? 0)),
      0,
      1,
    );
    // Kolmogorov and Smirnov's distance; 1.95 / sqrt(n) is exceeded once in a thousand times.
    expect(distance(uniform, (value) => value)).toBeLessThan(1.95 / Math.sqrt(size));
    expect(distance(normal, (value) => (1 + erf(value / Math.SQRT2)) / 2)).toBeLessThan(
      1.95 / Math.sqrt(size),
    );
  });

  it("categorical agrees with the reference", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        columns: someSize,
        scale: fc.constantFrom(0.1, 3, 40),
      }),
      ({ seed, rows, columns, scale }) =>
        agree(suite, seed, exact, (inputs) => ({
          out: categorical(inputs.normal([rows, columns], scale), new RandomKey(seed)),
        })),
      60,
    );
    await agree(suite, 8, exact, (inputs) => ({
      out: categorical(inputs.normal([3, 40, 5003]), new RandomKey(8, 1, 3)),
    }));
  });

  it("categorical draws each class as often as softmax has it", async () => {
    const probabilities = [0.5, 0.2, 0.2, 0, 0.07, 0.02, 0.01];
    const draws = 50_000;
    const logits = Float32Array.from({ length: draws * 7 }, (_, index) =>
      Math.fround(Math.log(probabilities[index % 7] ?? 0) + 3),
    );
    const read = await readAll(suite.device, 9, ({ device }) => ({
      out: categorical(device.tensor(logits, [draws, 7]), new RandomKey(9)),
    }));
    const seen = new Array<number>(7).fill(0);
    for (const pick of read.get("out")?.values ?? []) seen[pick] = (seen[pick] ?? 0) + 1;
    expect(seen[3]).toBe(0);
    // 99.9th percentile of chi squared with 5 degrees of freedom.
    expect(chiSquared(seen.toSpliced(3, 1), probabilities.toSpliced(3, 1))).toBeLessThan(20.5);
  });

  it("categorical of rows without a distribution is -1; of one possible class it is that", async () => {
    const none = Number.NEGATIVE_INFINITY;
    const read = await readAll(suite.device, 10, (inputs) => ({
      out: categorical(
        inputs.of(
          [
            none,
            none,
            none,
            1,
            Number.NaN,
            2,
            none,
            3,
            none,
            1,
            Number.POSITIVE_INFINITY,
            2,
            none,
            none,
            -80,
          ],
          [5, 3],
        ),
        new RandomKey(10),
      ),
    }));
    expect([...(read.get("out")?.values ?? [])]).toEqual([-1, -1, 1, -1, 2]);
  });

  it("dropout agrees with the reference, element by element", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        key: anyKey,
        size: count,
        rate: fc.constantFrom(0, 0.1, 0.5, 0.93, 1),
      }),
      ({ seed, key, size, rate }) =>
        agree(suite, seed, { rtol: 2e-7, atol: 0 }, (inputs) => ({
          out: dropout(inputs.normal([size]), { rate, key }),
        })),
    );
  });

  it("dropout keeps what it should, scaled, and what it drops is 0 even of NaN", async () => {
    const size = 100_000;
    const read = await readAll(suite.device, 11, ({ device }) => ({
      out: dropout(device.full([size], 3), { rate: 0.25, key: new RandomKey(11) }),
      uniform: randomUniform(device, [size], new RandomKey(11)),
      nan: dropout(device.full([size], Number.NaN), { rate: 0.25, key: new RandomKey(11) }),
    }));
    const [out, uniform, nan] = ["out", "uniform", "nan"].map((name) => read.get(name)?.values);
    expect(out).toEqual(uniform?.map((value) => (value >= 0.25 ? 4 : 0)));
    expect(nan).toEqual(uniform?.map((value) => (value >= 0.25 ? Number.NaN : 0)));
    const kept = out?.filter((value) => value !== 0).length ?? 0;
    expect(Math.abs(kept / size - 0.75)).toBeLessThan(5 * Math.sqrt((0.75 * 0.25) / size));
  });

  it("dropout at rate 0 is the identity without a copy", async () => {
    const { device } = suite;
    const before = device.memory().liveBytes;
    using x = device.full([64], 2);
    const one = device.memory().liveBytes;
    using out = dropout(x, { rate: 0, key: new RandomKey(12) });
    expect(device.memory().liveBytes).toBe(one);
    expect(one).toBeGreaterThan(before);
    expect(await out.floats()).toEqual(new Float32Array(64).fill(2));
  });

  it("the gradient of dropout drops the same elements, and stores no mask", async () => {
    for (const rate of [0, 0.4, 1]) {
      await gradientsAgree(suite, 13, { rtol: 1e-6, atol: 1e-6 }, (inputs) => {
        const x = inputs.normal([5, 9]);
        const key = new RandomKey(13, 2, 5);
        return { wrt: [x], forward: () => mul(dropout(x, { rate, key }), x) };
      });
    }
    const { device } = suite;
    device.scope(() => {
      const x = device.full([1000], 1);
      using tape = new Tape(device);
      tape.watch(x);
      const before = device.memory().liveBytes;
      const out = tape.run(() => dropout(x, { rate: 0.5, key: new RandomKey(13) }));
      out.dispose();
      expect(device.memory().liveBytes).toBe(before);
    });
  });

  it("bernoulli agrees with the reference, and has its probabilities", async () => {
    await holds(fc.record({ seed: anySeed, key: anyKey, size: count }), ({ seed, key, size }) =>
      agree(suite, seed, exact, (inputs) => ({
        out: bernoulli(inputs.uniform([size], -0.1, 1.1), key),
      })),
    );
    const size = 60_000;
    const read = await readAll(suite.device, 14, ({ device }) => {
      const levels = device.tensor(
        Float32Array.from({ length: size }, (_, index) => [0, 0.3, 1][index % 3] ?? 0),
        [size],
      );
      return { out: bernoulli(levels, new RandomKey(14)) };
    });
    const sums = [0, 0, 0];
    for (const [index, value] of (read.get("out")?.values ?? []).entries())
      sums[index % 3] = (sums[index % 3] ?? 0) + value;
    expect(sums[0]).toBe(0);
    expect(sums[2]).toBe(size / 3);
    expect(Math.abs((sums[1] ?? 0) / 20_000 - 0.3)).toBeLessThan(5 * Math.sqrt(0.21 / 20_000));
  });
}

/** Pearson's statistic of counts against probabilities. */
function chiSquared(seen: readonly number[], probabilities: readonly number[]): number {
  const total = seen.reduce((sum, each) => sum + each, 0);
  return seen.reduce((sum, each, index) => {
    const expected = total * (probabilities[index] ?? 0);
    return sum + (each - expected) ** 2 / expected;
  }, 0);
}

/** Largest distance between the values' distribution and the given one. */
function distance(values: Float64Array, cumulative: (value: number) => number): number {
  const sorted = values.toSorted();
  return sorted.reduce((largest, value, index) => {
    const expected = cumulative(value);
    return Math.max(
      largest,
      Math.abs(expected - index / sorted.length),
      Math.abs(expected - (index + 1) / sorted.length),
    );
  }, 0);
}
