/* oxlint-disable vitest/expect-expect -- expectElements() asserts */
import { Random, type Shape, sizeOf } from "@latentkit/core";
import fc from "fast-check";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Device } from "../device.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { registerMatchers } from "../testing/matchers.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./arithmetic.ts";
import { concat, copyInto, permute, slice } from "./layout.ts";
import { matmul } from "./matmul.ts";
import { sum } from "./reduce.ts";

registerMatchers(expect);

// The suite for backends runs the same operators on both sides, so it cannot see a fault in an operator's own indexing. Here each
// element of the result is looked up by its coordinates instead.
const device = new Device(createReferenceBackend());
afterEach(() => expectNoLeaks(device));
afterAll(() => device.dispose());

/** A host array that is addressed by coordinates. */
class Grid {
  readonly shape: Shape;
  readonly values: Float32Array;

  constructor(shape: Shape, values: Float32Array) {
    this.shape = shape;
    this.values = values;
  }

  static random(shape: Shape, seed: number): Grid {
    return new Grid(shape, new Random(seed).fillNormal(new Float32Array(sizeOf(shape))));
  }

  at(coordinates: readonly number[]): number {
    let index = 0;
    for (const [axis, size] of this.shape.entries())
      index = index * size + (coordinates[axis] ?? 0);
    return this.values[index] ?? Number.NaN;
  }

  put(): Tensor {
    return device.tensor(this.values, this.shape);
  }
}

/** All coordinates of a shape, in row-major order. */
function coordinatesOf(shape: Shape): number[][] {
  let all: number[][] = [[]];
  for (const size of shape)
    all = all.flatMap((prefix) => Array.from({ length: size }, (_, index) => [...prefix, index]));
  return all;
}

async function expectElements(
  run: () => Tensor,
  shape: Shape,
  element: (at: readonly number[]) => number,
): Promise<void> {
  const result = device.scope(run);
  expect(result.shape).toEqual(shape);
  const values = await result.floats();
  result.dispose();
  expect(values).toBeClose(coordinatesOf(shape).map(element), { rtol: 1e-6, atol: 1e-6 });
}

const size: fc.Arbitrary<number> = fc.constantFrom(0, 1, 2, 3);
const seed = fc.nat(10_000);
const check = <T>(
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => Promise<void>,
): Promise<void> => fc.assert(fc.asyncProperty(arbitrary, property), { numRuns: 150, seed: 5 });

describe("every element of the result is where its coordinates say", () => {
  it("add, with broadcasting", async () => {
    const axis = fc.record({ size, left: fc.boolean(), right: fc.boolean() });
    await check(
      fc.record({ seed, axes: fc.array(axis, { maxLength: 4 }), drop: fc.nat(4) }),
      async (input) => {
        const a = Grid.random(
          input.axes.map((own) => (own.left ? own.size : 1)),
          input.seed,
        );
        const b = Grid.random(
          input.axes.map((own) => (own.right ? own.size : 1)).slice(input.drop),
          input.seed + 1,
        );
        const shape = input.axes.map((own, index) =>
          own.left || (own.right && index >= input.drop) ? own.size : 1,
        );
        const lookUp = (grid: Grid, at: readonly number[]): number => {
          const aligned = at.slice(at.length - grid.shape.length);
          return grid.at(
            aligned.map((index, position) => (grid.shape[position] === 1 ? 0 : index)),
          );
        };
        await expectElements(
          () => add(a.put(), b.put()),
          shape,
          (at) => lookUp(a, at) + lookUp(b, at),
        );
      },
    );
  });

  it("permute", async () => {
    await check(
      fc.record({
        seed,
        shape: fc.tuple(size, size, size, size),
        order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      }),
      async (input) => {
        const x = Grid.random(input.shape, input.seed);
        const shape = input.order.map((axis) => input.shape[axis] ?? 0);
        await expectElements(
          () => permute(x.put(), input.order),
          shape,
          (at) => x.at(input.shape.map((_, axis) => at[input.order.indexOf(axis)] ?? 0)),
        );
      },
    );
  });

  it("slice and copyInto", async () => {
    await check(
      fc.record({
        seed,
        shape: fc.tuple(size, size, size),
        axis: fc.nat(2),
        start: fc.nat(3),
        length: fc.nat(3),
      }),
      async ({ shape, axis, ...input }) => {
        const start = Math.min(input.start, shape[axis] ?? 0);
        const end = Math.min(start + input.length, shape[axis] ?? 0);
        const [x, y] = [
          Grid.random(shape, input.seed),
          Grid.random(shape.with(axis, end - start), input.seed + 1),
        ];
        const part = shape.with(axis, end - start);
        const shifted = (at: readonly number[], by: number): number[] =>
          at.map((index, position) => (position === axis ? index + by : index));
        await expectElements(
          () => slice(x.put(), { axis, start, end }),
          part,
          (at) => x.at(shifted(at, start)),
        );
        const run = (): Tensor => {
          const target = x.put();
          copyInto(y.put(), target, { axis, start });
          return target;
        };
        await expectElements(run, shape, (at) => {
          const index = at[axis] ?? 0;
          return index >= start && index < end ? y.at(shifted(at, -start)) : x.at(at);
        });
      },
    );
  });

  it("concat", async () => {
    await check(
      fc.record({
        seed,
        shape: fc.tuple(size, size, size),
        axis: fc.nat(2),
        sizes: fc.array(size, { minLength: 1, maxLength: 3 }),
      }),
      async ({ shape, axis, ...input }) => {
        const parts = input.sizes.map((own, index) =>
          Grid.random(shape.with(axis, own), input.seed + index),
        );
        const total = input.sizes.reduce((all, own) => all + own, 0);
        await expectElements(
          () =>
            concat(
              parts.map((part) => part.put()),
              { axis },
            ),
          shape.with(axis, total),
          (at) => {
            let rest = at[axis] ?? 0;
            const part = parts.find((own) => {
              const length = own.shape[axis] ?? 0;
              if (rest < length) return true;
              rest -= length;
              return false;
            });
            return part?.at(at.with(axis, rest)) ?? Number.NaN;
          },
        );
      },
    );
  });

  it("sum along an axis", async () => {
    await check(
      fc.record({ seed, shape: fc.tuple(size, size, size), axis: fc.nat(2) }),
      async ({ shape, axis, ...input }) => {
        const x = Grid.random(shape, input.seed);
        const along = Array.from({ length: shape[axis] ?? 0 }, (_, index) => index);
        await expectElements(
          () => sum(x.put(), { axis }),
          shape.toSpliced(axis, 1),
          (at) => along.reduce((total, index) => total + x.at(at.toSpliced(axis, 0, index)), 0),
        );
      },
    );
  });

  it("matmul: batched or shared, transposed or not", async () => {
    const kinds = fc.constantFrom("both", "sharedA", "sharedB", "neither");
    const input = fc.record({
      seed,
      batch: fc.array(size, { maxLength: 2 }),
      m: size,
      n: size,
      k: size,
      kind: kinds,
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
    });
    await check(input, async ({ m, n, k, kind, transposeA, transposeB, ...rest }) => {
      const leadingA = kind === "sharedA" || kind === "neither" ? [] : rest.batch;
      const leadingB = kind === "sharedB" || kind === "neither" ? [] : rest.batch;
      const a = Grid.random([...leadingA, ...(transposeA ? [k, m] : [m, k])], rest.seed);
      const b = Grid.random([...leadingB, ...(transposeB ? [n, k] : [k, n])], rest.seed + 1);
      const shape = [...(kind === "neither" ? [] : rest.batch), m, n];
      await expectElements(
        () => matmul(a.put(), b.put(), { transposeA, transposeB, alpha: -2 }),
        shape,
        (at) => {
          const batch = at.slice(0, -2);
          const [row = 0, column = 0] = at.slice(-2);
          let total = 0;
          for (let inner = 0; inner < k; inner++) {
            const left = [
              ...batch.slice(0, leadingA.length),
              ...(transposeA ? [inner, row] : [row, inner]),
            ];
            const right = [
              ...batch.slice(0, leadingB.length),
              ...(transposeB ? [column, inner] : [inner, column]),
            ];
            total += a.at(left) * b.at(right);
          }
          return -2 * total;
        },
      );
    });
  });
});
