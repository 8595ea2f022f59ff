import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { philox4x32, Random } from "./random.ts";

// Known answers of Random123 1.14, tests/kat_vectors, "philox4x32 10".
const vectors = [
  { counter: [0, 0, 0, 0], key: [0, 0], out: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    out: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    out: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

/** Draws that are not sums of one another: mean and variance with their standard errors. */
function moments(draw: () => number, count: number): { mean: number; variance: number } {
  const values = Float64Array.from({ length: count }, draw);
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count };
}

describe("philox4x32", () => {
  it.each(vectors)("gives Random123's answer for counter $counter", ({ counter, key, out }) => {
    const words = new Uint32Array(4);
    philox4x32(Uint32Array.from(counter), Uint32Array.from(key), words);
    expect([...words]).toEqual(out);
  });
});

describe("Random", () => {
  it("draws the words of consecutive counters under the key (seed, stream)", () => {
    const random = new Random(0);
    expect(Array.from({ length: 4 }, () => random.bits())).toEqual(vectors[0]?.out);
    const words = new Uint32Array(4);
    philox4x32(Uint32Array.of(1, 0, 0, 0), Uint32Array.of(0, 0), words);
    expect(Array.from({ length: 4 }, () => random.bits())).toEqual([...words]);
  });

  it("gives the same stream for the same seed, and others for another seed or stream", () => {
    const draw = (random: Random): number[] => Array.from({ length: 8 }, () => random.bits());
    expect(draw(new Random(5, 2))).toEqual(draw(new Random(5, 2)));
    expect(draw(new Random(5, 2))).not.toEqual(draw(new Random(5, 3)));
    expect(draw(new Random(5, 2))).not.toEqual(draw(new Random(6, 2)));
  });

  it("continues from a saved state, also in the middle of a block and through JSON", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(1000), fc.nat(30), (seed, stream, before) => {
        const random = new Random(seed, stream);
        for (let draw = 0; draw < before; draw++) random.bits();
        const copy = Random.restore(JSON.parse(JSON.stringify(random.state())));
        expect(copy.state()).toEqual(random.state());
        for (let draw = 0; draw < 9; draw++) expect(copy.bits()).toBe(random.bits());
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  it("goes on past 2^32 blocks, where the counter carries", () => {
    const random = Random.restore({ seed: 9, stream: 1, position: 2 ** 34 });
    const words = new Uint32Array(4);
    philox4x32(Uint32Array.of(0, 1, 0, 0), Uint32Array.of(9, 1), words);
    expect(random.bits()).toBe(words[0]);
  });

  it("draws uniforms in [0, 1) that f32 holds exactly, with the moments of the uniform distribution", () => {
    const random = new Random(11);
    const count = 40_000;
    const { mean, variance } = moments(() => {
      const value = random.uniform();
      expect(value >= 0 && value < 1 && Math.fround(value) === value).toBe(true);
      return value;
    }, count);
    // Five standard errors: sqrt(1/12/n) of the mean, sqrt(1/180/n) of the variance.
    expect(Math.abs(mean - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / count));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / count));
  });

  it("draws normals with mean 0, variance 1 and normal tails", () => {
    const random = new Random(12);
    const count = 40_000;
    let beyondTwo = 0;
    const { mean, variance } = moments(() => {
      const value = random.normal();
      if (Math.abs(value) > 2) beyondTwo++;
      return value;
    }, count);
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(count));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / count));
    // P(|x| > 2) = 0.0455; its standard error is sqrt(p (1 - p) / n).
    expect(Math.abs(beyondTwo / count - 0.0455)).toBeLessThan(
      5 * Math.sqrt((0.0455 * 0.9545) / count),
    );
  });

  it("draws integers evenly, at bounds that do not divide 2^32 too", () => {
    const random = new Random(13);
    const bins = new Array<number>(7).fill(0);
    for (let draw = 0; draw < 35_000; draw++) {
      const value = random.integer(7);
      bins[value] = (bins[value] ?? 0) + 1;
    }
    const chiSquared = bins.reduce((sum, seen) => sum + (seen - 5000) ** 2 / 5000, 0);
    // 99.99th percentile of chi squared with 6 degrees of freedom.
    expect(chiSquared).toBeLessThan(27.9);
    expect(random.integer(1)).toBe(0);
    expect(random.integer(2 ** 32)).toBeLessThan(2 ** 32);
  });

  it("scales what fillNormal fills, and draws as normal() does", () => {
    const one = new Random(14);
    const filled = new Random(14).fillNormal(new Float32Array(5), 2);
    expect([...filled]).toEqual(Array.from({ length: 5 }, () => Math.fround(2 * one.normal())));
  });

  it("permutes: each number once, and every order about as often", () => {
    const random = new Random(15);
    expect([...random.permutation(100)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    );
    expect([...random.permutation(0)]).toEqual([]);
    const orders = new Map<string, number>();
    for (let draw = 0; draw < 6000; draw++) {
      const order = random.permutation(3).join("");
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(orders.size).toBe(6);
    const chiSquared = [...orders.values()].reduce(
      (sum, seen) => sum + (seen - 1000) ** 2 / 1000,
      0,
    );
    // 99.99th percentile of chi squared with 5 degrees of freedom.
    expect(chiSquared).toBeLessThan(25.8);
  });
});
