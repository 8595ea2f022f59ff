import { Random } from "@latentkit/core";
import { fc, test } from "@fast-check/vitest";
import { expect, it } from "vitest";
import { fromEightBits, toEightBits } from "./eight-bits.ts";

const weight = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true, min: -100, max: 100 }),
  fc.float({ noNaN: true, min: -Math.fround(3e38), max: Math.fround(3e38) }),
  fc.constantFrom(0, -0, Math.fround(1e-40), Math.fround(1e-30), Math.fround(3e38)),
);

test.prop([fc.array(weight, { minLength: 1, maxLength: 400 }), fc.integer({ min: 1, max: 3 })])(
  "rounding what was rounded changes nothing",
  (values, rows) => {
    const length = Math.floor(values.length / rows);
    const shape = [rows, length];
    const weights = Float32Array.from(values.slice(0, rows * length));
    const once = toEightBits(weights, shape);
    const rounded = fromEightBits(once, shape);
    const twice = toEightBits(rounded, shape);
    expect(twice.codes).toEqual(once.codes);
    expect(fromEightBits(twice, shape)).toEqual(rounded);
  },
);

it("rounds each weight by at most 1/254 of the largest of its 64", () => {
  const random = new Random(4);
  const shape = [3, 150];
  const weights = Float32Array.from({ length: 450 }, () => random.normal());
  const { codes, scales, scalesShape } = toEightBits(weights, shape);
  expect(scalesShape).toEqual([3, 3]);
  const rounded = fromEightBits({ codes, scales }, shape);
  for (let row = 0; row < 3; row++)
    for (let start = 0; start < 150; start += 64) {
      const [begin, end] = [row * 150 + start, row * 150 + Math.min(150, start + 64)];
      const largest = Math.max(...weights.subarray(begin, end).map(Math.abs));
      for (let index = begin; index < end; index++)
        expect(Math.abs((rounded[index] ?? 0) - (weights[index] ?? 0))).toBeLessThanOrEqual(
          (largest / 254) * 1.0001,
        );
    }
});

it("keeps zeros, and blocks of zeros", () => {
  const weights = Float32Array.of(0, 127, 0, -127);
  expect(fromEightBits(toEightBits(weights, [1, 4]), [1, 4])).toEqual(weights);
  expect(fromEightBits(toEightBits(new Float32Array(70), [70]), [70])).toEqual(
    new Float32Array(70),
  );
});
