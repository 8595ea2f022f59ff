import { expect, it } from "vitest";
import { philox4x32, Random } from "./random.ts";
import { RandomKey } from "./random-key.ts";

const words = (counter: readonly number[], key: readonly number[]): number[] => {
  const out = new Uint32Array(4);
  philox4x32(Uint32Array.from(counter), Uint32Array.from(key), out);
  return [...out];
};

it("draws what Random draws for the same seed and stream", () => {
  const [ours, random] = [new RandomKey(5, 7).random(), new Random(5, 7)];
  for (let draw = 0; draw < 9; draw++) expect(ours.bits()).toBe(random.bits());
});

it("continues a Random, and goes through JSON", () => {
  const random = new Random(11, 3);
  for (let draw = 0; draw < 6; draw++) random.bits();
  const key = RandomKey.restore(random.state());
  expect(key.position).toBe(6);
  const copy = RandomKey.restore(JSON.parse(JSON.stringify(key)));
  expect(copy.state()).toEqual(random.state());
  expect(copy.random().bits()).toBe(random.bits());
});

it("makes children by Philox under the parent's key, with the counter that the documentation says", () => {
  const key = new RandomKey(0xa4093822, 0x299f31d0, 2 ** 33 + 5);
  const [seed, stream] = words([3, 0, 5, 0xc000_0002], [0xa4093822, 0x299f31d0]);
  expect(key.fold(3).state()).toEqual({ seed, stream, position: 0 });
  const [first, second] = words([1, 0, 0, 0xa000_0000], [8, 9]);
  expect(new RandomKey(8, 9).split(2)[1]?.state()).toEqual({
    seed: first,
    stream: second,
    position: 0,
  });
  const [high] = words([1, 2 ** 20, 0, 0xc000_0000], [8, 9]);
  expect(new RandomKey(8, 9).fold(2 ** 52 + 1).seed).toBe(high);
});

it("gives each child numbers of its own", () => {
  const key = new RandomKey(1);
  const keys = [
    key,
    new RandomKey(1, 1),
    new RandomKey(1, 0, 4),
    ...key.split(50),
    ...Array.from({ length: 50 }, (_, index) => key.fold(index)),
    ...key.fold(0).split(50),
    ...new RandomKey(1, 0, 4).split(50),
  ];
  const firsts = new Set(keys.map((each) => each.random().bits()));
  expect(firsts.size).toBe(keys.length);
  // The same parent and number, the same child.
  expect(key.split(2)[1]).toEqual(key.split(9)[1]);
});

it("children's words look independent of each other: no bit agrees more often than chance has it", () => {
  const count = 4096;
  const children = new RandomKey(77).split(count).map((child) => child.random().bits());
  for (let bit = 0; bit < 32; bit++) {
    let ones = 0;
    let repeats = 0;
    for (const [index, word] of children.entries()) {
      ones += (word >>> bit) & 1;
      repeats += ((word ^ (children[(index + 1) % count] ?? 0)) >>> bit) & 1;
    }
    // Five standard deviations of a binomial with p = 1/2.
    expect(Math.abs(ones - count / 2)).toBeLessThan(2.5 * Math.sqrt(count));
    expect(Math.abs(repeats - count / 2)).toBeLessThan(2.5 * Math.sqrt(count));
  }
});

it("refuses numbers that are no counts", () => {
  const key = new RandomKey(0);
  expect(() => key.fold(-1)).toThrow(/index = -1/);
  expect(() => key.fold(0.5)).toThrow(/index = 0.5/);
  expect(() => key.split(Number.NaN)).toThrow(/count = NaN/);
  expect(() => new RandomKey(0, 0, -1)).toThrow(/position = -1/);
});
