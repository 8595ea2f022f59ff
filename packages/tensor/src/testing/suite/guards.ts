/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import { expect, it } from "vitest";
import type { Kernels, Slice } from "../../backend.ts";
import { exact, Inputs, type Suite } from "./agree.ts";

/** Runs one kernel whose output is `out`, of 35 elements: 5 rows of 7. */
type Run = (kernels: Kernels, out: Slice, inputs: Inputs) => void;

const strides = [7, 1];
const adam = { learningRate: 0.1, beta1: 0.9, beta2: 0.9, epsilon: 1e-8, weightDecay: 0, step: 1 };
const product = {
  batch: 1,
  m: 5,
  n: 7,
  k: 9,
  transposeA: false,
  transposeB: false,
  rowStrideA: 9,
  rowStrideB: 7,
  rowStrideOut: 7,
  batchStrideA: 0,
  batchStrideB: 0,
  batchStrideOut: 0,
  alpha: 1,
  beta: 0,
};
const heads = {
  batch: 1,
  qLength: 5,
  kLength: 5,
  kCapacity: 5,
  heads: 1,
  kvHeads: 1,
  dHead: 7,
  scale: 1,
};

const runs: Readonly<Record<string, Run>> = {
  adam: (kernels, out, inputs) =>
    kernels.adam(
      out,
      inputs.normal([35]).slice,
      inputs.device.zeros([35]).slice,
      inputs.device.zeros([35]).slice,
      adam,
    ),
  affine: (kernels, out, inputs) => kernels.affine(inputs.normal([35]).slice, 2, 3, out),
  attention: (kernels, out, inputs) =>
    kernels.attention(
      inputs.normal([35]).slice,
      inputs.normal([35]).slice,
      inputs.normal([35]).slice,
      out,
      heads,
    ),
  binary: (kernels, out, inputs) =>
    kernels.binary(
      "add",
      inputs.normal([35]).slice,
      [1],
      inputs.normal([35]).slice,
      [1],
      out,
      [35],
    ),
  broadcast: (kernels, out, inputs) =>
    kernels.binary(
      "mul",
      inputs.normal([7]).slice,
      [0, 1],
      inputs.normal([5]).slice,
      [1, 0],
      out,
      [5, 7],
    ),
  convert: (kernels, out, inputs) => kernels.convert(inputs.normal([35]).slice, out),
  embedding: (kernels, out, inputs) =>
    kernels.embedding(inputs.normal([9, 7]).slice, inputs.integers([5], 9).slice, 5, 7, out),
  fill: (kernels, out) => kernels.fill(out, 4),
  logSoftmaxRows: (kernels, out, inputs) =>
    kernels.logSoftmaxRows(inputs.normal([35]).slice, 5, 7, out),
  matmul: (kernels, out, inputs) =>
    kernels.matmul(inputs.normal([5, 9]).slice, inputs.normal([9, 7]).slice, out, product),
  normalizeRows: (kernels, out) => kernels.normalizeRows(out, 5, 7),
  reduce: (kernels, out, inputs) =>
    kernels.reduce("sum", inputs.normal([5, 3, 7]).slice, 5, 3, 7, out),
  reduceRows: (kernels, out, inputs) =>
    kernels.reduce("sum", inputs.normal([35, 3]).slice, 35, 3, 1, out),
  removeParallelRows: (kernels, out, inputs) =>
    kernels.removeParallelRows(out, inputs.normal([35]).slice, 5, 7),
  rmsNorm: (kernels, out, inputs) =>
    kernels.rmsNorm(inputs.normal([35]).slice, null, 5, 7, 1e-5, out, null),
  rope: (kernels, out, inputs) =>
    kernels.rope(
      { ...out, length: 30 },
      inputs.normal([9, 3]).slice,
      inputs.normal([9, 3]).slice,
      inputs.integers([5], 9).slice,
      5,
      1,
      6,
    ),
  siluMul: (kernels, out, inputs) =>
    kernels.siluMul(inputs.normal([35]).slice, inputs.normal([35]).slice, out),
  softmaxRows: (kernels, out, inputs) => kernels.softmaxRows(inputs.normal([35]).slice, 5, 7, out),
  sparseDecode: (kernels, out, inputs) =>
    kernels.sparseDecode(
      inputs.sparseRows(5, 9, 3).slices(),
      inputs.normal([9, 7]).slice,
      null,
      7,
      out,
    ),
  sparseOuterAdd: (kernels, out, inputs) => {
    const rows = inputs.sparseRows(9, 5, 3);
    kernels.sparseOuterAdd(rows.slices(), rows.values.slice, inputs.normal([9, 7]).slice, 7, out);
  },
  sparseToDense: (kernels, out, inputs) =>
    kernels.sparseToDense(inputs.sparseRows(5, 7, 3).slices(), out),
  stridedRead: (kernels, out, inputs) =>
    kernels.stridedRead(inputs.normal([35]).slice, [5, 7], [1, 5], out),
  stridedWrite: (kernels, out, inputs) =>
    kernels.stridedWrite(inputs.normal([35]).slice, [5, 7], strides, out),
  topKRows: (kernels, out, inputs) =>
    kernels.topKRows(
      inputs.normal([5, 20]).slice,
      5,
      20,
      7,
      out,
      inputs.device.empty([35], "i32").slice,
    ),
  unary: (kernels, out, inputs) => kernels.unary("exp", inputs.normal([35]).slice, out),
};

export function guardSuite(suite: Suite): void {
  it.each(Object.entries(runs))(
    "%s writes its output, wherever it starts, and nothing around it",
    async (_name, run) => {
      const { device } = suite;
      for (const offset of [0, 1, 2, 3]) {
        const memory = device.full([64], 123);
        device.scope(() =>
          run(
            device.backend.kernels,
            memory.rows(offset + 8, offset + 43).slice,
            new Inputs(device, 80),
          ),
        );
        const values = await memory.floats();
        memory.dispose();
        expect(values.subarray(0, offset + 8)).toBeClose(
          new Float32Array(offset + 8).fill(123),
          exact,
        );
        expect(values.subarray(offset + 43)).toBeClose(
          new Float32Array(21 - offset).fill(123),
          exact,
        );
        expect(values.subarray(offset + 8, offset + 43).some((value) => value !== 123)).toBe(true);
      }
    },
  );
}
