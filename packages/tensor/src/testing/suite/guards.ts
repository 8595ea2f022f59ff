/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import { expect, it } from "vitest";
import type { Kernels, NormGradientPlan, Slice } from "../../backend.ts";
import { exact, Inputs, type Suite } from "./agree.ts";

/** Runs one kernel whose output is `out`, of 35 elements: 5 rows of 7. */
type Run = (kernels: Kernels, out: Slice, inputs: Inputs) => void;

const strides = [7, 1];
const state = { seed: 1, stream: 2, position: 3 };
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
  causal: true,
  window: null,
  softCap: null,
};

const rotary = {
  tokens: 5,
  heads: 1,
  dHead: 7,
  dRotary: 6,
  positions: 9,
  interleaved: false,
  transposed: false,
};
const entropy = { ignoreIndex: -100, labelSmoothing: 0.1, zLoss: 0.1 };

function normOf(inputs: Inputs, rows: number, columns: number): NormGradientPlan {
  return {
    rows,
    columns,
    x: inputs.normal([rows, columns]).slice,
    mean: inputs.normal([rows]).slice,
    scale: inputs.uniform([rows], 1, 2).slice,
    weight: null,
    gradient: inputs.normal([rows, columns]).slice,
    scaleGradient: null,
  };
}

const runs: Readonly<Record<string, Run>> = {
  adam: (kernels, out, inputs) =>
    kernels.adam(
      out,
      inputs.normal([35]).slice,
      inputs.device.zeros([35]).slice,
      inputs.device.zeros([35]).slice,
      adam,
      null,
    ),
  sgd: (kernels, out, inputs) =>
    kernels.sgd(
      out,
      inputs.normal([35]).slice,
      inputs.device.zeros([35]).slice,
      { learningRate: 0.1, momentum: 0.9, nesterov: true, l2: 0 },
      null,
    ),
  affine: (kernels, out, inputs) => kernels.affine(inputs.normal([35]).slice, 2, 3, out),
  attention: (kernels, out, inputs) =>
    kernels.attention(
      inputs.normal([35]).slice,
      inputs.normal([35]).slice,
      inputs.normal([35]).slice,
      null,
      out,
      null,
      heads,
    ),
  attentionGradient: (kernels, out, inputs) => {
    const [q, k, v, dOut] = [1, 2, 3, 4].map(() => inputs.normal([35]).slice);
    const [result, logSumExp] = [inputs.device.empty([35]), inputs.device.empty([5])];
    if (!q || !k || !v || !dOut) return;
    kernels.attention(q, k, v, null, result.slice, logSumExp.slice, heads);
    kernels.attentionGradient(
      { q, k, v, keyMask: null, out: result.slice, logSumExp: logSumExp.slice, dOut },
      { dq: null, dk: out, dv: null },
      heads,
    );
  },
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
  bernoulli: (kernels, out, inputs) =>
    kernels.bernoulli(state, inputs.uniform([35], 0, 1).slice, out),
  cumsum: (kernels, out, inputs) =>
    kernels.cumsum(
      inputs.normal([35]).slice,
      { outer: 5, axis: 7, inner: 1, reverse: true, exclusive: false },
      out,
    ),
  cumsumColumns: (kernels, out, inputs) =>
    kernels.cumsum(
      inputs.normal([35]).slice,
      { outer: 1, axis: 5, inner: 7, reverse: true, exclusive: true },
      out,
    ),
  dropout: (kernels, out, inputs) => kernels.dropout(state, inputs.normal([35]).slice, 0.1, out),
  gatherAxis: (kernels, out, inputs) =>
    kernels.gatherAxis(
      inputs.normal([9, 7]).slice,
      inputs.integers([5, 7], 9).slice,
      { outer: 1, axis: 9, inner: 7, picks: 5 },
      out,
    ),
  indexAdd: (kernels, out, inputs) =>
    kernels.indexAdd(
      inputs.normal([9, 7]).slice,
      inputs.integers([9], 5).slice,
      { outer: 1, axis: 5, inner: 7, picks: 9 },
      out,
    ),
  indexSelect: (kernels, out, inputs) =>
    kernels.indexSelect(
      inputs.normal([9, 7]).slice,
      inputs.integers([5], 9).slice,
      { outer: 1, axis: 9, inner: 7, picks: 5 },
      out,
    ),
  oneHot: (kernels, out, inputs) => kernels.oneHot(inputs.integers([5], 7).slice, 7, out),
  randomNormal: (kernels, out) => kernels.randomNormal(state, 0, 1, out),
  randomUniform: (kernels, out) => kernels.randomUniform(state, 0, 1, out),
  scatterAddAxis: (kernels, out, inputs) =>
    kernels.scatterAddAxis(
      inputs.normal([9, 7]).slice,
      inputs.integers([9, 7], 5).slice,
      { outer: 1, axis: 5, inner: 7, picks: 9 },
      out,
    ),
  sortRows: (kernels, out, inputs) =>
    kernels.sortRows(
      inputs.normal([5, 7]).slice,
      5,
      7,
      false,
      out,
      inputs.device.empty([35], "i32").slice,
    ),
  stridedReadReversed: (kernels, out, inputs) =>
    kernels.stridedRead(inputs.normal([35]).slice, [5, 7], [-7, -1], out, 34),
  topKAll: (kernels, out, inputs) =>
    kernels.topKAll(inputs.normal([70]).slice, 35, out, inputs.device.empty([35], "i32").slice),
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
  crossEntropyGradientRows: (kernels, out, inputs) =>
    kernels.crossEntropyGradientRows(
      inputs.normal([35]).slice,
      inputs.integers([5], 7).slice,
      inputs.uniform([5, 2], 1, 2).slice,
      inputs.normal([5]).slice,
      { ...entropy, rows: 5, columns: 7 },
      out,
    ),
  crossEntropyRows: (kernels, out, inputs) =>
    kernels.crossEntropyRows(
      inputs.normal([35, 3]).slice,
      inputs.integers([35], 3).slice,
      { ...entropy, rows: 35, columns: 3 },
      out,
      null,
    ),
  embedding: (kernels, out, inputs) =>
    kernels.embedding(inputs.normal([9, 7]).slice, inputs.integers([5], 9).slice, 5, 7, out),
  fill: (kernels, out) => kernels.fill(out, 4),
  layerNorm: (kernels, out, inputs) =>
    kernels.layerNorm(inputs.normal([35]).slice, null, null, 5, 7, 1e-5, out, null, null),
  logSoftmaxGradientRows: (kernels, out, inputs) =>
    kernels.logSoftmaxGradientRows(inputs.normal([35]).slice, inputs.normal([35]).slice, 5, 7, out),
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
  normGradient: (kernels, out, inputs) =>
    kernels.normGradient(normOf(inputs, 5, 7), out, null, null),
  normGradientOfBias: (kernels, out, inputs) =>
    kernels.normGradient(normOf(inputs, 4, 35), null, null, out),
  normGradientOfWeight: (kernels, out, inputs) =>
    kernels.normGradient(normOf(inputs, 4, 35), null, out, null),
  rmsNorm: (kernels, out, inputs) =>
    kernels.rmsNorm(inputs.normal([35]).slice, null, 5, 7, 1e-5, out, null),
  rope: (kernels, out, inputs) =>
    kernels.rope(
      inputs.normal([35]).slice,
      inputs.normal([9, 3]).slice,
      inputs.normal([9, 3]).slice,
      inputs.integers([5], 9).slice,
      rotary,
      out,
    ),
  gatedMul: (kernels, out, inputs) =>
    kernels.gatedMul("silu", inputs.normal([35]).slice, inputs.normal([35]).slice, out),
  softmaxGradientRows: (kernels, out, inputs) =>
    kernels.softmaxGradientRows(inputs.normal([35]).slice, inputs.normal([35]).slice, 5, 7, out),
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
