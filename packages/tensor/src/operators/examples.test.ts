import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Device } from "../device.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { registerMatchers } from "../testing/matchers.ts";
import { add, addInto, affine, div, maximum, minimum, mul, sub } from "./arithmetic.ts";
import { siluMul } from "./gated.ts";
import { clone, concat, convert, copyInto, fill, permute, slice } from "./layout.ts";
import { linear, matmul } from "./matmul.ts";
import { removeParallelRows } from "./optimise.ts";
import { argmax } from "./choose.ts";
import { max, mean, sum, sumOfSquares } from "./reduce.ts";
import { topK } from "./sort.ts";
import { encodeJumpRelu, encodeTopK } from "./sparse-encode.ts";
import {
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sparseOuterAdd,
  sparseRowL0,
  sparseScatterAdd,
  sparseToDense,
} from "./sparse-products.ts";
import { embedding } from "./indexing.ts";
import { rmsNormWithScale } from "./normalise.ts";

registerMatchers(expect);

// Small cases worked out by hand: they pin down which axis, which order, which operand.
const device = new Device(createReferenceBackend());
afterEach(() => expectNoLeaks(device));
afterAll(() => device.dispose());

const exact = { rtol: 0, atol: 0 };

/** Shape and values of what `run` gives; integers too. */
async function read(run: () => Tensor): Promise<{ shape: readonly number[]; values: number[] }> {
  const result = device.scope(run);
  const { shape, dtype } = result;
  const values =
    dtype === "i32" || dtype === "u8" ? await result.integers() : await result.floats();
  result.dispose();
  return { shape, values: [...values] };
}

const t = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  device.tensor(values, shape);
const ids = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  device.tensor(Int32Array.from(values), shape);
/** 0, 1, 2, ... */
const counting = (shape: readonly number[]): Tensor => {
  const size = shape.reduce((product, axis) => product * axis, 1);
  return t(
    Array.from({ length: size }, (_, index) => index),
    shape,
  );
};

describe("elementwise", () => {
  it.each([
    ["add", add, [11, 22, 13, 24]],
    ["sub", sub, [-9, -18, -7, -16]],
    ["mul", mul, [10, 40, 30, 80]],
    ["div", div, [0.1, 0.1, 0.3, 0.2]],
    ["maximum", maximum, [10, 20, 10, 20]],
    ["minimum", minimum, [1, 2, 3, 4]],
  ] as const)("%s of a matrix and a row", async (_name, operator, expected) => {
    const { shape, values } = await read(() => operator(t([1, 2, 3, 4], [2, 2]), t([10, 20])));
    expect(shape).toEqual([2, 2]);
    expect(values).toBeClose(expected, { rtol: 1e-7, atol: 0 });
  });

  it("broadcasts a column against a row", async () => {
    expect(await read(() => sub(t([1, 2], [2, 1]), t([10, 20, 30])))).toEqual({
      shape: [2, 3],
      values: [-9, -19, -29, -8, -18, -28],
    });
  });

  it("takes numbers on the side where they stand", async () => {
    expect((await read(() => sub(1, t([3, 5])))).values).toEqual([-2, -4]);
    expect((await read(() => sub(t([3, 5]), 1))).values).toEqual([2, 4]);
    expect((await read(() => div(1, t([2, 4])))).values).toEqual([0.5, 0.25]);
    expect((await read(() => div(t([3, 6]), 3))).values).toEqual([1, 2]);
    expect((await read(() => maximum(2, t([1, 3])))).values).toEqual([2, 3]);
    expect((await read(() => affine(t([1, 2]), { factor: 3, bias: -1 }))).values).toEqual([2, 5]);
  });

  it("siluMul gates by the first operand", async () => {
    expect((await read(() => siluMul(t([0, 1]), t([5, 2])))).values).toBeClose(
      [0, 2 / (1 + Math.exp(-1))],
      { rtol: 1e-6, atol: 0 },
    );
  });

  it("addInto adds to its first operand", async () => {
    expect(
      await read(() => {
        const target = t([1, 2, 3, 4], [2, 2]);
        addInto(target, t([10, 20]));
        return target;
      }),
    ).toEqual({ shape: [2, 2], values: [11, 22, 13, 24] });
  });
});

describe("layout", () => {
  it("permute moves axis order[i] to i", async () => {
    expect(await read(() => permute(counting([2, 3]), [1, 0]))).toEqual({
      shape: [3, 2],
      values: [0, 3, 1, 4, 2, 5],
    });
    expect(await read(() => permute(counting([2, 1, 3]), [2, 0, 1]))).toEqual({
      shape: [3, 2, 1],
      values: [0, 3, 1, 4, 2, 5],
    });
  });

  it("slice takes start to end along one axis", async () => {
    expect(await read(() => slice(counting([2, 3]), { axis: 1, start: 1, end: 3 }))).toEqual({
      shape: [2, 2],
      values: [1, 2, 4, 5],
    });
    expect(await read(() => slice(counting([2, 3]), { axis: -2, start: 1, end: 2 }))).toEqual({
      shape: [1, 3],
      values: [3, 4, 5],
    });
  });

  it("concat puts tensors one after the other", async () => {
    expect(await read(() => concat([counting([2, 2]), t([7, 8], [2, 1])], { axis: 1 }))).toEqual({
      shape: [2, 3],
      values: [0, 1, 7, 2, 3, 8],
    });
  });

  it("copyInto writes at start along an axis", async () => {
    const run = (axis: number, source: () => Tensor) => () => {
      const target = device.zeros([3, 2]);
      copyInto(source(), target, { axis, start: 1 });
      return target;
    };
    expect((await read(run(0, () => t([5, 6], [1, 2])))).values).toEqual([0, 0, 5, 6, 0, 0]);
    expect((await read(run(1, () => t([5, 6, 7], [3, 1])))).values).toEqual([0, 5, 0, 6, 0, 7]);
  });

  it("clone and convert copy, fill sets", async () => {
    expect(
      await read(() => {
        const x = t([1, 2]);
        const copy = clone(x);
        fill(x, 9);
        return concat([copy, x, convert(convert(t([1.0001, -3]), "bf16"), "f32")], { axis: 0 });
      }),
    ).toEqual({ shape: [6], values: [1, 2, 9, 9, 1, -3] });
  });
});

describe("products and reductions", () => {
  it("matmul and linear", async () => {
    expect(await read(() => matmul(counting([2, 3]), counting([3, 2])))).toEqual({
      shape: [2, 2],
      values: [10, 13, 28, 40],
    });
    expect(
      await read(() => linear(t([1, 2]), t([1, 0, 0, 1, 1, 1], [3, 2]), t([10, 20, 30]))),
    ).toEqual({ shape: [3], values: [11, 22, 33] });
    expect((await read(() => matmul(counting([2, 2, 1]), t([3, 5], [1, 2])))).values).toEqual([
      0, 0, 3, 5, 6, 10, 9, 15,
    ]);
  });

  it("reductions take away the axis that they are told", async () => {
    expect(await read(() => sum(counting([2, 3]), { axis: 0 }))).toEqual({
      shape: [3],
      values: [3, 5, 7],
    });
    expect(await read(() => mean(counting([2, 3]), { axis: 1, keepDims: true }))).toEqual({
      shape: [2, 1],
      values: [1, 4],
    });
    expect(await read(() => max(t([-5, -2, -7]), { axis: 0 }))).toEqual({
      shape: [],
      values: [-2],
    });
    expect(await read(() => sumOfSquares(counting([2, 2])))).toEqual({ shape: [], values: [14] });
    expect(await read(() => sum(device.zeros([2, 0]), { axis: 1 }))).toEqual({
      shape: [2],
      values: [0, 0],
    });
    expect((await read(() => mean(device.zeros([1, 0]), { axis: 1 }))).values).toEqual([
      Number.NaN,
    ]);
  });

  it("argmax and topK look along the last axis", async () => {
    expect(await read(() => argmax(t([1, 3, 2, 9, 8, 9], [2, 3])))).toEqual({
      shape: [2],
      values: [1, 0],
    });
    const both = (): { values: Tensor; indices: Tensor } => topK(t([4, 7, 7, 1], [1, 4]), 3);
    expect(await read(() => both().values)).toEqual({ shape: [1, 3], values: [7, 7, 4] });
    expect(await read(() => both().indices)).toEqual({ shape: [1, 3], values: [1, 2, 0] });
  });

  it("embedding picks rows, rmsNormWithScale divides by the root mean square", async () => {
    expect(await read(() => embedding(counting([3, 2]), ids([2, 0], [1, 2])))).toEqual({
      shape: [1, 2, 2],
      values: [4, 5, 0, 1],
    });
    expect(await read(() => rmsNormWithScale(t([3, 4, 5], [1, 3]), 0).scale)).toEqual({
      shape: [1, 1],
      values: [Math.fround(Math.sqrt(50 / 3))],
    });
  });

  it("removeParallelRows leaves what is orthogonal to the weight", async () => {
    const { values } = await read(() => {
      const gradient = t([3, 4, 1, 1], [2, 2]);
      removeParallelRows(gradient, t([2, 0, 3, -3], [2, 2]));
      return gradient;
    });
    expect(values).toBeClose([0, 4, 1, 1], exact);
  });
});

describe("sparse rows", () => {
  /** [[0, 5, 0, 2], [0, 0, 0, 0], [1, 0, 0 (kept), 0]] */
  const example = (): SparseRows =>
    new SparseRows({
      width: 4,
      counts: ids([2, 0, 2]),
      indices: ids([1, 3, -9, -9, 0, 2], [3, 2]),
      values: t([5, 2, Number.NaN, Number.NaN, 1, 0], [3, 2]),
    });

  it("say where each entry is", async () => {
    expect(await read(() => sparseToDense(example()))).toEqual({
      shape: [3, 4],
      values: [0, 5, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0],
    });
    expect((await read(() => sparseRowL0(example()))).values).toEqual([2, 0, 1]);
  });

  it("encodeTopK keeps the largest in ascending order of latent, then ReLU", async () => {
    const pre = (): Tensor => t([3, -1, 5, 4, -2, -3, -1, -5], [2, 4]);
    expect((await read(() => encodeTopK(pre(), 2).indices)).values).toEqual([2, 3, 0, 2]);
    expect((await read(() => encodeTopK(pre(), 2).values)).values).toEqual([5, 4, 0, 0]);
    expect(
      (await read(() => encodeTopK(pre(), 2, { allowed: ids([1, 1, 0, 0]) }).indices)).values,
    ).toEqual([0, 1, 0, 1]);
    expect(
      (await read(() => encodeTopK(pre(), 2, { allowed: ids([0, 0, 7, 0]) }).counts)).values,
    ).toEqual([1, 1]);
  });

  it("encodeJumpRelu compares each latent with its own threshold", async () => {
    const run = (capacity: number) => () =>
      encodeJumpRelu(t([2, 2, 2], [1, 3]), t([1, 3, 1.5]), { bandwidth: 0, capacity }).rows;
    expect(await read(() => sparseToDense(run(3)()))).toEqual({ shape: [1, 3], values: [2, 0, 2] });
    expect((await read(() => run(1)().counts)).values).toEqual([2]);
    expect(await read(() => sparseToDense(run(1)()))).toEqual({ shape: [1, 3], values: [2, 0, 0] });
  });

  it("products use each entry's row and latent", async () => {
    const weight = (): Tensor => t([1, 10, 2, 20, 3, 30, 4, 40], [4, 2]);
    expect(await read(() => sparseDecode(example(), weight(), t([100, 0])))).toEqual({
      shape: [3, 2],
      values: [118, 180, 100, 0, 101, 10],
    });
    const x = (): Tensor => t([1, 0, 7, 7, 0, 1], [3, 2]);
    const { values } = await read(() => sparseDot(example(), weight(), x()));
    expect([values[0], values[1], values[4], values[5]]).toEqual([2, 4, 10, 30]);
  });

  it("sums are added to what is there, by latent", async () => {
    const run = () => {
      const rows = example();
      const coefficients = t([1, 2, Number.NaN, Number.NaN, 3, 4], [3, 2]);
      const [matrix, vector, firing] = [
        device.full([4, 2], 1),
        device.full([4], 1),
        ids([10, 10, 10, 10]),
      ];
      sparseOuterAdd(rows, coefficients, t([1, 10, 2, 20, 3, 30], [3, 2]), matrix);
      sparseScatterAdd(rows, coefficients, vector);
      sparseCountFiring(rows, firing);
      return { matrix, vector, firing };
    };
    expect((await read(() => run().matrix)).values).toEqual([10, 91, 2, 11, 13, 121, 3, 21]);
    expect((await read(() => run().vector)).values).toEqual([4, 2, 5, 3]);
    expect((await read(() => run().firing)).values).toEqual([11, 11, 10, 11]);
  });

  it("without room decode to the bias", async () => {
    const none = (): SparseRows =>
      encodeJumpRelu(device.zeros([2, 3]), device.zeros([3]), { bandwidth: 0, capacity: 0 }).rows;
    expect(
      (await read(() => sparseDecode(none(), device.zeros([3, 2]), t([1, 2])))).values,
    ).toEqual([1, 2, 1, 2]);
    expect((await read(() => sparseDecode(none(), device.zeros([3, 2]), null))).values).toEqual([
      0, 0, 0, 0,
    ]);
    expect((await read(() => sparseToDense(none()))).values).toEqual([0, 0, 0, 0, 0, 0]);
    expect((await read(() => sparseRowL0(none()))).values).toEqual([0, 0]);
  });
});
