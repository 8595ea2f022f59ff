/* oxlint-disable vitest/expect-expect -- agree(), holds() and gradientsAgree() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import {
  expand,
  flip,
  pad,
  repeat,
  repeatInterleave,
  split,
  stack,
} from "../../operators/arrange.ts";
import { mul } from "../../operators/arithmetic.ts";
import {
  clone,
  concat,
  convert,
  copyInto,
  fill,
  permute,
  slice,
  transpose,
} from "../../operators/layout.ts";
import type { Tensor } from "../../tensor.ts";
import { agree, anySeed, anySize, exact, fewSize, holds, readAll, type Suite } from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

const close = { rtol: 1e-6, atol: 1e-6 };

/** Rearrangements beyond those of `layoutSuite`, conversions of integers, and the gradients of all. */
export function arrangeSuite(suite: Suite): void {
  it("transpose, expand, flip, pad and repeat agree with the reference", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        shape: fc.tuple(fewSize, anySize, fewSize),
        axis: fc.integer({ min: -3, max: 2 }),
        count: fc.nat(3),
      }),
      ({ seed, shape, axis, count }) =>
        agree(suite, seed, exact, (inputs) => {
          const x = inputs.normal(shape);
          const ids = inputs.integers(shape, 99);
          const [first, ...rest] = shape;
          const row = inputs.normal([1, ...rest]);
          return {
            swapped: transpose(x, axis, 1),
            last: transpose(ids),
            expanded: expand(row, [2, first, ...rest]),
            column: expand(inputs.normal([first, 1, 1]), shape),
            flipped: flip(x, axis),
            flippedAll: flip(ids, [0, 1, 2]),
            padded: pad(
              x,
              shape.map((_, index) => [index, count]),
              -1.5,
            ),
            same: pad(
              ids,
              shape.map(() => [0, 0]),
            ),
            repeated: repeat(x, [count, 1, 2]),
            taller: repeat(ids, [2, 1, count, 1]),
            interleaved: repeatInterleave(x, count, { axis }),
          };
        }),
    );
  });

  it("what repeat and pad mean, in numbers", async () => {
    const read = await readAll(suite.device, 1, ({ device }) => {
      const x = device.tensor([1, 2, 3, 4], [2, 2]);
      return {
        repeat: repeat(x, [1, 2]),
        interleave: repeatInterleave(x, 2, { axis: 1 }),
        pad: pad(
          x,
          [
            [1, 0],
            [0, 2],
          ],
          9,
        ),
        flip: flip(x, -1),
        expand: expand(device.tensor([1, 2], [2, 1]), [2, 3]),
      };
    });
    const expected = {
      repeat: [1, 2, 1, 2, 3, 4, 3, 4],
      interleave: [1, 1, 2, 2, 3, 3, 4, 4],
      pad: [9, 9, 9, 9, 1, 2, 9, 9, 3, 4, 9, 9],
      flip: [2, 1, 4, 3],
      expand: [1, 1, 1, 2, 2, 2],
    };
    for (const [name, values] of Object.entries(expected))
      expect([...(read.get(name)?.values ?? [])], name).toEqual(values);
  });

  it("flipping and transposing twice is the identity; a big transpose too", async () => {
    const read = await readAll(suite.device, 2, (inputs) => {
      const x = inputs.normal([301, 517]);
      return {
        x: clone(x),
        flipped: flip(flip(x, [0, 1]), [0, 1]),
        transposed: transpose(transpose(x)),
        halves: convert(transpose(transpose(convert(x, "bf16"))), "f32"),
        wanted: convert(convert(x, "bf16"), "f32"),
        bytes: convert(transpose(transpose(convert(x, "u8"))), "f32"),
        wantedBytes: convert(convert(x, "u8"), "f32"),
      };
    });
    expect(read.get("flipped")).toEqual(read.get("x"));
    expect(read.get("transposed")).toEqual(read.get("x"));
    expect(read.get("halves")).toEqual(read.get("wanted"));
    expect(read.get("bytes")).toEqual(read.get("wantedBytes"));
  });

  it("transposes of every dtype agree with the reference, also in the middle of four axes", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: anySize, columns: anySize, batch: fc.constantFrom(1, 3) }),
      ({ seed, rows, columns, batch }) =>
        agree(suite, seed, exact, (inputs) => {
          const x = inputs.normal([batch, rows, columns], 50);
          return {
            f32: transpose(x),
            f16: transpose(convert(x, "f16")),
            u8: transpose(convert(x, "u8")),
            heads: permute(inputs.normal([batch, rows, 3, 8]), [0, 2, 1, 3]),
            back: permute(inputs.normal([2, columns, rows, batch]), [3, 1, 0, 2]),
          };
        }),
    );
  });

  it("stack and split are each other's reverse", async () => {
    await holds(
      fc.record({ seed: anySeed, sizes: fc.array(fewSize, { minLength: 1, maxLength: 4 }) }),
      async ({ seed, sizes }) => {
        const total = sizes.reduce((sum, size) => sum + size, 0);
        await agree(suite, seed, exact, (inputs) => {
          const x = inputs.normal([3, total, 5]);
          const parts = split(x, sizes, { axis: 1 });
          return {
            ...Object.fromEntries(parts.map((part, index) => [`part ${index}`, part])),
            whole: concat(parts, { axis: 1 }),
            x: clone(x),
            stacked: stack([x, x], { axis: -1 }),
          };
        });
      },
    );
    const read = await readAll(suite.device, 3, (inputs) => {
      const x = inputs.normal([7, 2]);
      const [a, b, c] = split(x, 3);
      if (a === undefined || b === undefined || c === undefined) throw new TypeError("no parts");
      return { x: clone(x), whole: concat([a, b, c], { axis: 0 }), c };
    });
    expect(read.get("whole")).toEqual(read.get("x"));
    expect(read.get("c")?.shape).toEqual([1, 2]);
  });

  it("integers become floats, and floats integers towards zero, within the dtype's range", async () => {
    const values = [0, -0, 0.5, -0.5, 1.99, -1.99, 254.9, 255, 256, 300, -7, 2 ** 24 + 1, 3e9];
    const special = [-3e9, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2e9];
    const all = [...values, ...special];
    const read = await readAll(suite.device, 4, (inputs) => {
      const x = inputs.of(all, [all.length]);
      const ids = inputs.of(Int32Array.of(0, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 24 + 1, 77, 5), [7]);
      return {
        i32: convert(x, "i32"),
        u8: convert(x, "u8"),
        back: convert(convert(x, "u8"), "f32"),
        f32: convert(ids, "f32"),
      };
    });
    expect([...(read.get("i32")?.values ?? [])]).toEqual([
      0, 0, 0, 0, 1, -1, 254, 255, 256, 300, -7, 16777216, 2147483647, -2147483648, 0, 2147483647,
      -2147483648, 2e9,
    ]);
    const bytes = [0, 0, 0, 0, 1, 0, 254, 255, 255, 255, 0, 255, 255, 0, 0, 255, 0, 255];
    expect([...(read.get("u8")?.values ?? [])]).toEqual(bytes);
    expect([...(read.get("back")?.values ?? [])]).toEqual(bytes);
    expect([...(read.get("f32")?.values ?? [])]).toEqual([
      0, -1, 2147483648, -2147483648, 16777216, 77, 5,
    ]);
  });

  it("conversions of many elements agree with the reference", async () => {
    await holds(
      fc.record({ seed: anySeed, size: fc.constantFrom(1, 3, 17, 4097, 150_001) }),
      ({ seed, size }) =>
        agree(suite, seed, exact, (inputs) => {
          const x = inputs.normal([size], 100);
          return {
            i32: convert(x, "i32"),
            u8: convert(x, "u8"),
            f16: convert(convert(x, "f16"), "f32"),
            bf16: convert(convert(x, "bf16"), "f32"),
            f32: convert(convert(x, "i32"), "f32"),
            fromBytes: convert(convert(x, "u8"), "f32"),
          };
        }),
      8,
    );
  });

  const layouts: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    permute: (x) => permute(x, [2, 0, 1]),
    transpose: (x) => transpose(x, 0, -1),
    slice: (x) => slice(x, { axis: 1, start: 1, end: 3 }),
    "slice of nothing": (x) => slice(x, { axis: 1, start: 1, end: 1 }),
    clone,
    convert: (x) => convert(x, "f32"),
    expand: (x) => expand(x.reshape([1, 4, 3, 2]), [5, 4, 3, 2]),
    "expand of a column": (x) => expand(slice(x, { axis: 1, start: 0, end: 1 }), [4, 6, 2]),
    repeat: (x) => repeat(x, [2, 1, 3]),
    "repeat in front": (x) => repeat(x, [2, 1, 2, 1]),
    repeatInterleave: (x) => repeatInterleave(x, 3, { axis: 1 }),
    flip: (x) => flip(x, [0, 2]),
    pad: (x) =>
      pad(
        x,
        [
          [1, 0],
          [0, 2],
          [3, 1],
        ],
        7,
      ),
    concat: (x) => concat([slice(x, { axis: 2, start: 0, end: 1 }), x, mul(x, x)], { axis: 2 }),
    "concat of rows": (x) => concat([x, x.rows(1, 3)], { axis: 0 }),
    stack: (x) => stack([x, mul(x, x)], { axis: 1 }),
    split: (x) => {
      const [a, , c] = split(x, [1, 1, 2]);
      if (a === undefined || c === undefined) throw new TypeError("no parts");
      return concat([c, mul(a, a)], { axis: 0 });
    },
  };

  it.each(Object.entries(layouts))("the gradient of %s", (_name, operator) =>
    gradientsAgree(suite, 5, close, (inputs) => {
      const x = inputs.normal([4, 3, 2]);
      return { wrt: [x], forward: () => operator(x) };
    }),
  );

  it("the gradient goes through f16 unrounded, and not through integers", async () => {
    const { device } = suite;
    const [halves, integers] = device.scope(() =>
      (["f16", "i32"] as const).map((dtype) => {
        const x = device.tensor([1.3, 2.7], [2]);
        using tape = new Tape(device);
        tape.watch(x);
        const y = tape.run(() => convert(convert(x, dtype), "f32"));
        return tape.gradients(y, [x], device.tensor([1.1, -2.3], [2]))[0];
      }),
    );
    expect((await halves?.floats()) ?? []).toBeClose(Float32Array.of(1.1, -2.3), exact);
    expect((await integers?.floats()) ?? []).toBeClose([0, 0], exact);
    halves?.dispose();
    integers?.dispose();
  });

  it("copyInto and fill refuse to change what a gradient is recorded of", () => {
    const { device } = suite;
    device.scope(() => {
      const x = device.zeros([4]);
      using tape = new Tape(device);
      tape.watch(x);
      const row = device.full([1], 2);
      const inPlace = expect.objectContaining({ code: "AUTOGRAD_IN_PLACE" });
      tape.run(() => {
        const y = mul(x, 2);
        for (const tensor of [x, y]) {
          expect(() => copyInto(row, tensor, { axis: 0, start: 1 })).toThrow(inPlace);
          expect(() => fill(tensor, 1)).toThrow(inPlace);
        }
        fill(row, 3);
      });
      fill(x, 1);
    });
  });
}
