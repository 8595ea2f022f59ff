/* oxlint-disable vitest/expect-expect -- agree(), holds() and gradientsAgree() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import { sub } from "../../operators/arithmetic.ts";
import { embedding, gather, indexAdd, oneHot, scatterAdd, take } from "../../operators/indexing.ts";
import { checkIndices, indexTensor } from "../../operators/indices.ts";
import { clone, convert } from "../../operators/layout.ts";
import { matmul } from "../../operators/matmul.ts";
import {
  agree,
  anySeed,
  exact,
  fewSize,
  holds,
  Inputs,
  readAll,
  someSize,
  sumTolerance,
  type Suite,
} from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

const close = { rtol: 1e-6, atol: 1e-6 };
/** Adding up to a few hundred standard normals in f32, in order. */
const summed = { rtol: 1e-5, atol: 1e-4 };

/** `[outer, axis, inner]` indexed along the middle, many or few indices, each of them often or never. */
const picks = fc.record({
  seed: anySeed,
  outer: fewSize,
  axis: someSize,
  inner: fc.constantFrom(0, 1, 2, 5, 16, 67),
  count: fc.constantFrom(0, 1, 3, 40, 150),
});

export function indexingSuite(suite: Suite): void {
  it("take, indexAdd, gather and scatterAdd agree with the reference", async () => {
    await holds(
      picks,
      ({ seed, outer, axis, inner, count }) =>
        agree(suite, seed, sumTolerance(count), (inputs) => {
          const x = inputs.normal([outer, axis, inner]);
          const whole = inputs.uniform([outer, axis, inner], 0, 255);
          const ids = inputs.integers([count], axis);
          const indices = inputs.integers([outer, count, inner], axis);
          const updates = inputs.normal([outer, count, inner]);
          return {
            taken: take(x, ids, { axis: 1 }),
            takenHalves: convert(take(convert(x, "f16"), ids, { axis: 1 }), "f32"),
            takenIntegers: take(convert(whole, "i32"), ids, { axis: -2 }),
            takenBytes: take(convert(whole, "u8"), ids, { axis: 1 }),
            added: indexAdd(x, ids, updates, { axis: 1 }),
            gathered: gather(x, indices, { axis: 1 }),
            gatheredHalves: convert(gather(convert(x, "bf16"), indices, { axis: 1 }), "f32"),
            gatheredIntegers: gather(convert(whole, "i32"), indices, { axis: 1 }),
            gatheredBytes: gather(convert(whole, "u8"), indices, { axis: 1 }),
            scattered: scatterAdd(x, indices, updates, { axis: 1 }),
            x: clone(x),
          };
        }),
      40,
    );
  });

  it("along the first and the last axis", async () => {
    await agree(suite, 2, summed, (inputs) => {
      const x = inputs.normal([130, 67]);
      const [first, last] = [inputs.integers([300], 130), inputs.integers([300], 67)];
      const wide = inputs.integers([130, 33], 67);
      const tall = inputs.integers([33, 67], 130);
      return {
        takeFirst: take(x, first, { axis: 0 }),
        takeLast: take(x, last, { axis: 1 }),
        addFirst: indexAdd(x, first, inputs.normal([300, 67]), { axis: 0 }),
        addLast: indexAdd(x, last, inputs.normal([130, 300]), { axis: 1 }),
        gatherFirst: gather(x, tall, { axis: 0 }),
        gatherLast: gather(x, wide, { axis: 1 }),
        scatterFirst: scatterAdd(x, tall, inputs.normal([33, 67]), { axis: 0 }),
        scatterLast: scatterAdd(x, wide, inputs.normal([130, 33]), { axis: 1 }),
      };
    });
  });

  it("large jobs agree with the reference, and repeated indices add up the same way each time", async () => {
    const run = (inputs: Inputs) => {
      const x = inputs.normal([509, 96]);
      const ids = inputs.integers([2001], 509);
      // A few rows that most of the updates go to.
      const popular = inputs.integers([2001], 3);
      const updates = inputs.normal([2001, 96]);
      return {
        taken: take(x, ids, { axis: 0 }),
        added: indexAdd(x, ids, updates, { axis: 0 }),
        popular: indexAdd(x, popular, updates, { axis: 0 }),
        scattered: scatterAdd(x, inputs.integers([1501, 96], 509), updates.rows(0, 1501), {
          axis: 0,
        }),
        columns: scatterAdd(x, inputs.integers([509, 300], 96), inputs.normal([509, 300]), {
          axis: 1,
        }),
      };
    };
    await agree(suite, 3, { rtol: 1e-4, atol: 3e-3 }, run);
    expect(await readAll(suite.device, 3, run)).toEqual(await readAll(suite.device, 3, run));
  });

  it("indexAdd keeps the order of the updates", async () => {
    // 2^24 + 1 - 2^24 is 0 in f32, and 2^24 - 2^24 + 1 is 1: the order is visible.
    const read = await readAll(suite.device, 4, (inputs) => {
      const updates = inputs.of([2 ** 24, 1, -(2 ** 24), 2 ** 24, -(2 ** 24), 1], [6, 1]);
      const ids = inputs.of(Int32Array.of(0, 0, 0, 1, 1, 1), [6]);
      return { out: indexAdd(inputs.device.zeros([2, 1]), ids, updates, { axis: 0 }) };
    });
    const [first = Number.NaN, second] = read.get("out")?.values ?? [];
    // A device that adds in f64 finds 1 both times; none finds 0 in the second row.
    expect([0, 1]).toContain(first);
    expect(second).toBe(1);
  });

  it("take is a product with one-hot rows", async () => {
    const read = await readAll(suite.device, 5, (inputs) => {
      const x = inputs.normal([9, 5]);
      const ids = inputs.integers([4, 3], 9);
      const product = matmul(oneHot(ids, 9).reshape([12, 9]), x);
      return {
        difference: sub(embedding(x, ids).reshape([12, 5]), product),
        rows: oneHot(inputs.of(Int32Array.of(2, -1, 3, 0), [4]), 3),
      };
    });
    expect(read.get("difference")?.values).toBeClose(new Array<number>(60).fill(0), close);
    expect([...(read.get("rows")?.values ?? [])]).toEqual([0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
  });

  it("oneHot agrees with the reference", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: someSize, width: fc.constantFrom(0, 1, 3, 64, 1000) }),
      ({ seed, rows, width }) =>
        agree(suite, seed, exact, (inputs) => ({
          out: oneHot(inputs.integers([rows], width + 2), width),
        })),
    );
  });

  it("an index outside reads NaN or 0, adds nothing, and touches nothing else", async () => {
    const outside = Int32Array.of(1, -1, 3, 2_000_000_000, -2_000_000_000, 2);
    const read = await readAll(suite.device, 6, (inputs) => {
      const x = inputs.of([1, 2, 3, 4, 5, 6], [3, 2]);
      const ids = inputs.of(outside, [6]);
      const rows = inputs.of(
        Int32Array.from(outside, (id) => id),
        [1, 6],
      );
      const ones = inputs.device.full([6, 2], 1);
      return {
        embedding: embedding(x, ids),
        halves: embedding(convert(x, "f16"), ids),
        take: take(x, ids, { axis: 0 }),
        integers: take(convert(x, "i32"), ids, { axis: 0 }),
        bytes: take(convert(x, "u8"), ids, { axis: 0 }),
        gather: gather(inputs.of([7, 8, 9], [1, 3]), rows, { axis: 1 }),
        indexAdd: indexAdd(x, ids, ones, { axis: 0 }),
        scatterAdd: scatterAdd(
          inputs.of([7, 8, 9], [1, 3]),
          rows,
          ones.reshape([2, 6]).rows(0, 1),
          {
            axis: 1,
          },
        ),
      };
    });
    const bad = new Array<number>(8).fill(Number.NaN);
    for (const name of ["embedding", "halves", "take"])
      expect(read.get(name)?.values, name).toBeClose([3, 4, ...bad, 5, 6], exact);
    for (const name of ["integers", "bytes"])
      expect(read.get(name)?.values, name).toBeClose([3, 4, ...bad.map(() => 0), 5, 6], exact);
    expect(read.get("gather")?.values).toBeClose([8, ...bad.slice(4), 9], exact);
    expect(read.get("indexAdd")?.values).toBeClose([1, 2, 4, 5, 6, 7], exact);
    expect(read.get("scatterAdd")?.values).toBeClose([7, 9, 10], exact);
  });

  it("checkIndices names the first index outside", async () => {
    const { device } = suite;
    using ids = device.tensor(Int32Array.of(0, 4, 2, 5, -1, 3), [2, 3]);
    await expect(checkIndices(ids, 6)).rejects.toThrow(
      expect.objectContaining({
        code: "INDEX_RANGE",
        message: expect.stringMatching(/index -1 at \[1, 1\].*\[2, 3\].*0 \.\. 5/),
      }),
    );
    await expect(checkIndices(ids, 5)).rejects.toThrow(/index 5 at \[1, 0\]/);
    using many = device.scope(() => new Inputs(device, 7).integers([100_003], 50));
    await expect(checkIndices(many, 50)).resolves.toBeUndefined();
    await expect(checkIndices(many, 49)).rejects.toThrow(/index 49/);
    using none = device.empty([0], "i32");
    await expect(checkIndices(none, 0)).resolves.toBeUndefined();
  });

  it("indices of the host are checked before they are used", async () => {
    const { device } = suite;
    const read = await readAll(device, 8, (inputs) => {
      const x = inputs.of([1, 2, 3, 4, 5, 6], [3, 2]);
      return {
        rows: embedding(x, [2, 0]),
        columns: take(x, Int32Array.of(1, 1, 0), { axis: 1 }),
        added: indexAdd(x, [1], inputs.of([10, 20], [1, 2]), { axis: 0 }),
      };
    });
    expect([...(read.get("rows")?.values ?? [])]).toEqual([5, 6, 1, 2]);
    expect([...(read.get("columns")?.values ?? [])]).toEqual([2, 2, 1, 4, 4, 3, 6, 6, 5]);
    expect([...(read.get("added")?.values ?? [])]).toEqual([1, 2, 13, 24, 5, 6]);
    device.scope(() => {
      const x = device.zeros([3, 2]);
      expect(() => embedding(x, [0, 3])).toThrow(/index 3 at \[1\].*0 \.\. 2/);
      expect(() => take(x, [0.5], { axis: 1 })).toThrow(/index 0.5/);
      expect(() => indexTensor(device, [0, -1], { bound: 9 })).toThrow(/index -1 at \[1\]/);
    });
  });

  it("the gradients of embedding, take, indexAdd, gather and scatterAdd", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        axis: fc.integer({ min: 0, max: 2 }),
        count: fc.constantFrom(0, 1, 7),
      }),
      async ({ seed, axis, count }) => {
        const shape = [3, 4, 2];
        const bound = shape[axis] ?? 0;
        const picked = shape.with(axis, count);
        await gradientsAgree(suite, seed, close, (inputs) => {
          const table = inputs.normal([5, 3]);
          const ids = inputs.integers([2, count], 5);
          return { wrt: [table], forward: () => embedding(table, ids) };
        });
        await gradientsAgree(suite, seed, close, (inputs) => {
          const x = inputs.normal(shape);
          const ids = inputs.integers([count], bound);
          return { wrt: [x], forward: () => take(x, ids, { axis }) };
        });
        await gradientsAgree(suite, seed, close, (inputs) => {
          const [x, updates] = [inputs.normal(shape), inputs.normal(picked)];
          const ids = inputs.integers([count], bound);
          return { wrt: [x, updates], forward: () => indexAdd(x, ids, updates, { axis }) };
        });
        await gradientsAgree(suite, seed, close, (inputs) => {
          const x = inputs.normal(shape);
          const indices = inputs.integers(picked, bound);
          return { wrt: [x], forward: () => gather(x, indices, { axis }) };
        });
        await gradientsAgree(suite, seed, close, (inputs) => {
          const [x, updates] = [inputs.normal(shape), inputs.normal(picked)];
          const indices = inputs.integers(picked, bound);
          return { wrt: [x, updates], forward: () => scatterAdd(x, indices, updates, { axis }) };
        });
      },
      6,
    );
  });

  it("the gradient of embedding with ids of the host, used after they are freed", async () => {
    const { device } = suite;
    using gradient = device.scope(() => {
      const table = device.zeros([3, 1]);
      using tape = new Tape(device);
      tape.watch(table);
      const out = tape.run(() => embedding(table, [2, 2, 0]));
      const [found] = tape.gradients(out, [table], device.tensor([1, 10, 100], [3, 1]));
      if (found === undefined) throw new TypeError("no gradient");
      return found;
    });
    expect([...(await gradient.floats())]).toEqual([100, 0, 11]);
  });
}
