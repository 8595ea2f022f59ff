import { RandomKey } from "@latentkit/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend, Kernels } from "../backend.ts";
import { Device } from "../device.ts";
import * as ops from "../index.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import type { Tensor } from "../tensor.ts";

// Bad input must be named and must not reach a kernel: a fast one would read or write beyond its memory.
let device: Device;
let other: Device;
let kernelCalls = 0;

beforeAll(() => {
  device = new Device(counted(createReferenceBackend()));
  other = new Device(createReferenceBackend());
});
afterAll(() => {
  device.dispose();
  other.dispose();
});

/** The same backend, counting the kernels that run. */
function counted(backend: Backend): Backend {
  const kernels = new Proxy<Kernels>(backend.kernels, {
    get(target, name, receiver) {
      kernelCalls++;
      return Reflect.get(target, name, receiver);
    },
  });
  return { ...backend, kernels };
}

const f = (...shape: number[]): Tensor =>
  device.tensor(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape);
const i = (...shape: number[]): Tensor =>
  device.tensor(new Int32Array(shape.reduce((product, size) => product * size, 1)), shape);
const b = (...shape: number[]): Tensor =>
  device.tensor(new Uint8Array(shape.reduce((product, size) => product * size, 1)), shape);
const h = (...shape: number[]): Tensor =>
  device.fromBytes(
    new Uint8Array(2 * shape.reduce((product, size) => product * size, 1)),
    shape,
    "f16",
  );
const rows = (): ops.SparseRows =>
  new ops.SparseRows({ width: 6, counts: i(3), indices: i(3, 2), values: f(3, 2) });
const key = new RandomKey(0);
const lastKey = new RandomKey(0, 0, 2 ** 53 - 1);
const stretch = { factor: 2, originalPositions: 16 };
const tables = (scaling: ops.RopeScaling): unknown =>
  ops.ropeTables({ dRotary: 8, base: 10, positions: 2, device, scaling });
const adam = { learningRate: 0.1, beta1: 0.9, beta2: 0.9, epsilon: 1e-8, weightDecay: 0, step: 1 };
const jump = {
  rows,
  preActivations: () => f(3, 2),
  threshold: () => f(6),
  dValues: () => f(3, 2),
  dThreshold: () => f(6),
};
const jumpWith = (changes: Record<string, unknown>): unknown => {
  const base = {
    rows: jump.rows(),
    preActivations: jump.preActivations(),
    threshold: jump.threshold(),
    dValues: jump.dValues(),
    dThreshold: jump.dThreshold(),
    bandwidth: 0.1,
    sparsity: 0,
  };
  return ops.jumpReluGradient({ ...base, ...changes });
};

const cases: readonly (readonly [
  name: string,
  code: string,
  message: RegExp,
  run: () => unknown,
])[] = [
  ["add", "SHAPE_BROADCAST", /add.*\[2, 3\].*\[4, 3\]/, () => ops.add(f(2, 3), f(4, 3))],
  ["add of i32", "DTYPE_MISMATCH", /add.*i32.*expected f32/, () => ops.add(f(2), i(2))],
  ["add of f16", "DTYPE_MISMATCH", /f16/, () => ops.add(h(2), f(2))],
  ["add of numbers", "SHAPE_MISMATCH", /two numbers/, () => ops.add(1, 2)],
  [
    "add across devices",
    "DEVICE_MISMATCH",
    /\[2\].*\[2\].*two devices/,
    () => ops.add(f(2), other.zeros([2])),
  ],
  ["addInto that grows", "SHAPE_MISMATCH", /\[3\].*\[2, 3\]/, () => ops.addInto(f(3), f(2, 3))],
  ["exp of i32", "DTYPE_MISMATCH", /exp.*i32/, () => ops.exp(i(2))],
  [
    "affine of u8",
    "DTYPE_MISMATCH",
    /affine.*u8/,
    () => ops.affine(device.tensor(Uint8Array.of(1), [1]), { factor: 1, bias: 0 }),
  ],
  ["siluMul", "SHAPE_MISMATCH", /siluMul.*\[2, 3\].*\[3, 2\]/, () => ops.siluMul(f(2, 3), f(3, 2))],
  [
    "sum along a missing axis",
    "SHAPE_AXIS",
    /sum.*axis 2.*\[2, 3\]/,
    () => ops.sum(f(2, 3), { axis: 2 }),
  ],
  ["sum along half an axis", "SHAPE_AXIS", /axis 0.5/, () => ops.sum(f(2, 3), { axis: 0.5 })],
  ["max of nothing", "SHAPE_MISMATCH", /max.*\[2, 0\]/, () => ops.max(f(2, 0), { axis: 1 })],
  ["argmax of nothing", "SHAPE_MISMATCH", /argmax.*\[2, 0\]/, () => ops.argmax(f(2, 0))],
  ["argmax of a scalar", "SHAPE_MISMATCH", /argmax.*\[\]/, () => ops.argmax(f())],
  ["topK of too many", "VALUE_RANGE", /topK.*k = 4.*from 1 to 3/, () => ops.topK(f(2, 3), 4)],
  ["topK of none", "VALUE_RANGE", /k = 0/, () => ops.topK(f(2, 3), 0)],
  [
    "matmul inner",
    "SHAPE_MISMATCH",
    /matmul.*\[2, 3\].*\[4, 5\].*3 and 4/,
    () => ops.matmul(f(2, 3), f(4, 5)),
  ],
  [
    "matmul transposed",
    "SHAPE_MISMATCH",
    /transposeA true/,
    () => ops.matmul(f(2, 3), f(3, 5), { transposeA: true }),
  ],
  ["matmul rank", "SHAPE_MISMATCH", /\[\].*\[3, 5\].*one axis/, () => ops.matmul(f(), f(3, 5))],
  ["matmul vector", "SHAPE_MISMATCH", /\[4\].*\[3\].*4 and 3/, () => ops.matmul(f(4), f(3))],
  [
    "matmul transposed vector",
    "SHAPE_MISMATCH",
    /\[3\].*\[5, 3\].*vector/,
    () => ops.matmul(f(3), f(5, 3), { transposeA: true }),
  ],
  [
    "matmul bias",
    "SHAPE_MISMATCH",
    /bias.*\[2\].*\[5\].*\[2, 5\]/,
    () => ops.matmul(f(2, 3), f(3, 5), { bias: f(2) }),
  ],
  [
    "matmul bias dtype",
    "DTYPE_MISMATCH",
    /bias.*f16/,
    () => ops.matmul(f(2, 3), f(3, 5), { bias: h(5) }),
  ],
  ["addMatmul rank", "SHAPE_MISMATCH", /\[3\].*two axes/, () => ops.addMatmul(f(5), f(3), f(3, 5))],
  [
    "addMatmul target",
    "SHAPE_MISMATCH",
    /target.*\[2, 4\].*\[2, 5\]/,
    () => ops.addMatmul(f(2, 4), f(2, 3), f(3, 5)),
  ],
  ["outer", "SHAPE_MISMATCH", /outer.*\[2, 2\].*\[3\]/, () => ops.outer(f(2, 2), f(3))],
  [
    "matmul batch",
    "SHAPE_MISMATCH",
    /\[2, 3, 4\].*\[5, 4, 3\].*leading/,
    () => ops.matmul(f(2, 3, 4), f(5, 4, 3)),
  ],
  ["linear", "SHAPE_MISMATCH", /linear.*\[2, 3\].*\[5, 4\]/, () => ops.linear(f(2, 3), f(5, 4))],
  ["linear bias", "SHAPE_MISMATCH", /\[5, 3\].*\[3\]/, () => ops.linear(f(2, 3), f(5, 3), f(3))],
  ["linear weight dtype", "DTYPE_MISMATCH", /weight.*f16/, () => ops.linear(f(2, 3), h(5, 3))],
  ["permute", "SHAPE_MISMATCH", /permute.*\[0, 0\].*\[2, 3\]/, () => ops.permute(f(2, 3), [0, 0])],
  ["permute rank", "SHAPE_MISMATCH", /permute/, () => ops.permute(f(2, 3), [0])],
  [
    "slice",
    "SHAPE_RANGE",
    /slice.*1 \.\. 4.*axis 1.*\[2, 3\]/,
    () => ops.slice(f(2, 3), { axis: 1, start: 1, end: 4 }),
  ],
  [
    "slice backwards",
    "SHAPE_RANGE",
    /slice/,
    () => ops.slice(f(2, 3), { axis: 1, start: 2, end: 1 }),
  ],
  ["concat of nothing", "SHAPE_MISMATCH", /no tensors/, () => ops.concat([], { axis: 0 })],
  [
    "concat",
    "SHAPE_MISMATCH",
    /concat.*\[2, 3\].*\[2, 4\]/,
    () => ops.concat([f(2, 3), f(2, 4)], { axis: 0 }),
  ],
  ["concat rank", "SHAPE_MISMATCH", /concat/, () => ops.concat([f(2, 3), f(2)], { axis: 0 })],
  ["concat dtype", "DTYPE_MISMATCH", /f32 and i32/, () => ops.concat([f(2), i(2)], { axis: 0 })],
  ["convert", "DTYPE_MISMATCH", /convert.*i32.*u8/, () => ops.convert(i(2), "u8")],
  ["convert halves", "DTYPE_MISMATCH", /convert.*f16.*bf16/, () => ops.convert(h(2), "bf16")],
  [
    "copyInto shape",
    "SHAPE_MISMATCH",
    /copyInto.*\[2, 3\].*\[4, 5\]/,
    () => ops.copyInto(f(2, 3), f(4, 5), { axis: 0, start: 0 }),
  ],
  [
    "copyInto range",
    "SHAPE_RANGE",
    /\[2, 3\] at 3.*\[4, 3\]/,
    () => ops.copyInto(f(2, 3), f(4, 3), { axis: 0, start: 3 }),
  ],
  [
    "copyInto dtype",
    "DTYPE_MISMATCH",
    /copyInto/,
    () => ops.copyInto(i(2, 3), f(4, 3), { axis: 0, start: 0 }),
  ],
  [
    "embedding ids",
    "DTYPE_MISMATCH",
    /ids of dtype f32.*expected i32/,
    () => ops.embedding(f(4, 3), f(2)),
  ],
  ["embedding table", "SHAPE_MISMATCH", /table of shape \[4\]/, () => ops.embedding(f(4), i(2))],
  [
    "embedding table dtype",
    "DTYPE_MISMATCH",
    /table of dtype i32/,
    () => ops.embedding(i(4, 3), i(2)),
  ],
  [
    "embedding of an empty table",
    "SHAPE_MISMATCH",
    /\[0, 3\].*\[2\]/,
    () => ops.embedding(f(0, 3), i(2)),
  ],
  [
    "embedding of host ids",
    "INDEX_RANGE",
    /index 4 at \[1\]/,
    () => ops.embedding(f(4, 3), [0, 4]),
  ],
  ["take", "DTYPE_MISMATCH", /take.*ids of dtype f32/, () => ops.take(f(4, 3), f(2), { axis: 0 })],
  ["take rank", "SHAPE_MISMATCH", /\[2, 2\]/, () => ops.take(f(4, 3), i(2, 2), { axis: 0 })],
  ["take axis", "SHAPE_AXIS", /take.*axis 2.*\[4, 3\]/, () => ops.take(f(4, 3), i(2), { axis: 2 })],
  [
    "indexAdd",
    "SHAPE_MISMATCH",
    /updates of shape \[3, 3\], expected \[2, 3\].*\[4, 3\].*\[2\]/,
    () => ops.indexAdd(f(4, 3), i(2), f(3, 3), { axis: 0 }),
  ],
  [
    "gather",
    "SHAPE_MISMATCH",
    /indices of shape \[5, 2\], expected \[4, 2\].*\[4, 3\]/,
    () => ops.gather(f(4, 3), i(5, 2), { axis: 1 }),
  ],
  [
    "scatterAdd",
    "SHAPE_MISMATCH",
    /updates of shape \[4, 3\], expected \[4, 2\]/,
    () => ops.scatterAdd(f(4, 3), i(4, 2), f(4, 3), { axis: 1 }),
  ],
  [
    "scatterAdd of integers",
    "DTYPE_MISMATCH",
    /scatterAdd.*x of dtype i32/,
    () => ops.scatterAdd(i(4, 3), i(4, 2), f(4, 2), { axis: 1 }),
  ],
  ["oneHot", "DTYPE_MISMATCH", /oneHot.*f32/, () => ops.oneHot(f(2), 3)],
  ["oneHot width", "VALUE_RANGE", /width = -1/, () => ops.oneHot(i(2), -1)],
  ["transpose", "SHAPE_AXIS", /transpose.*axis -2.*\[3\]/, () => ops.transpose(f(3))],
  ["stack", "SHAPE_MISMATCH", /stack.*\[2\].*\[3\]/, () => ops.stack([f(2), f(3)])],
  ["stack of nothing", "SHAPE_MISMATCH", /no tensors/, () => ops.stack([])],
  ["split", "SHAPE_RANGE", /split.*\[1, 3\].*\[5, 2\]/, () => ops.split(f(5, 2), [1, 3])],
  ["split into nothing", "VALUE_RANGE", /sizes = 0/, () => ops.split(f(5, 2), 0)],
  ["expand", "SHAPE_BROADCAST", /expand.*\[2, 3\].*\[4, 3\]/, () => ops.expand(f(2, 3), [4, 3])],
  ["expand down", "SHAPE_MISMATCH", /\[2, 3\].*\[1, 3\]/, () => ops.expand(f(2, 3), [1, 3])],
  ["expand rank", "SHAPE_MISMATCH", /\[2, 3\].*\[3\]/, () => ops.expand(f(2, 3), [3])],
  ["repeat", "SHAPE_MISMATCH", /repeat.*\[2\].*\[2, 3\]/, () => ops.repeat(f(2, 3), [2])],
  ["repeatInterleave", "VALUE_RANGE", /1.5/, () => ops.repeatInterleave(f(2), 1.5, { axis: 0 })],
  ["flip", "SHAPE_AXIS", /flip.*\[0, 0\].*\[2, 3\]/, () => ops.flip(f(2, 3), [0, 0])],
  ["pad", "SHAPE_MISMATCH", /pad.*\[1, 1\].*\[2, 3\]/, () => ops.pad(f(2, 3), [[1, 1]])],
  ["pad of bytes", "VALUE_RANGE", /pad.*value = 256.*u8/, () => ops.pad(b(2), [[1, 1]], 256)],
  ["sort", "DTYPE_MISMATCH", /sort.*f16/, () => ops.sort(h(2, 3))],
  ["sort of a scalar", "SHAPE_MISMATCH", /sort.*\[\]/, () => ops.sort(f())],
  ["topKAll", "VALUE_RANGE", /k = 7.*from 1 to 6.*\[2, 3\]/, () => ops.topKAll(f(2, 3), 7)],
  ["cumsum", "SHAPE_AXIS", /cumsum.*axis 2/, () => ops.cumsum(f(2, 3), { axis: 2 })],
  [
    "randomUniform",
    "VALUE_RANGE",
    /high = Inf/,
    () => ops.randomUniform(device, [2], key, { high: Infinity }),
  ],
  [
    "randomUniform span",
    "VALUE_RANGE",
    /high - low = Inf/,
    () => ops.randomUniform(device, [2], key, { low: -3e38, high: 3e38 }),
  ],
  ["randomNormal shape", "SHAPE_INVALID", /\[-1\]/, () => ops.randomNormal(device, [-1], key)],
  ["randomPermutation", "SHAPE_INVALID", /\[2.5\]/, () => ops.randomPermutation(device, 2.5, key)],
  ["random words", "VALUE_RANGE", /2 words/, () => ops.randomBits(device, [2], lastKey)],
  [
    "categorical",
    "SHAPE_MISMATCH",
    /logits of shape \[2, 0\]/,
    () => ops.categorical(f(2, 0), key),
  ],
  ["dropout", "VALUE_RANGE", /rate = 1.1/, () => ops.dropout(f(2), { rate: 1.1, key })],
  ["bernoulli", "DTYPE_MISMATCH", /bernoulli.*i32/, () => ops.bernoulli(i(2), key)],
  ["rmsNorm", "SHAPE_MISMATCH", /rmsNorm.*\[2, 3\].*\[4\]/, () => ops.rmsNorm(f(2, 3), f(4), 1e-5)],
  ["rmsNorm epsilon", "VALUE_RANGE", /epsilon = -1/, () => ops.rmsNorm(f(2, 3), null, -1)],
  [
    "layerNorm weight",
    "SHAPE_MISMATCH",
    /layerNorm.*\[2, 3\].*weight of shape \[4\]/,
    () => ops.layerNorm(f(2, 3), f(4), null, 1e-5),
  ],
  [
    "layerNorm bias",
    "SHAPE_MISMATCH",
    /layerNorm.*\[2, 3\].*bias of shape \[1, 3\]/,
    () => ops.layerNorm(f(2, 3), null, f(1, 3), 1e-5),
  ],
  [
    "layerNormWithScale of nothing",
    "SHAPE_MISMATCH",
    /layerNormWithScale.*\[2, 0\]/,
    () => ops.layerNormWithScale(f(2, 0), 1e-5),
  ],
  [
    "rmsNormWithScale epsilon",
    "VALUE_RANGE",
    /rmsNormWithScale got epsilon = NaN/,
    () => ops.rmsNormWithScale(f(2, 3), Number.NaN),
  ],
  [
    "rope of more features than there are",
    "VALUE_RANGE",
    /dRotary = 10.*dHead \(8\)/,
    () => ops.rope(f(1, 2, 3, 8), f(10, 5), f(10, 5), i(2), { dRotary: 10 }),
  ],
  [
    "rope of a part with tables of the whole",
    "SHAPE_MISMATCH",
    /rope.*\[1, 2, 3, 8\].*\[10, 4\]/,
    () => ops.rope(f(1, 2, 3, 8), f(10, 4), f(10, 4), i(2), { dRotary: 4 }),
  ],
  [
    "rope scaling",
    "VALUE_RANGE",
    /scaling.factor = 0/,
    () => tables({ type: "linear", factor: 0 }),
  ],
  [
    "rope llama3 scaling",
    "VALUE_RANGE",
    /scaling.highFrequencyFactor = 1/,
    () => tables({ ...stretch, type: "llama3", lowFrequencyFactor: 2, highFrequencyFactor: 1 }),
  ],
  [
    "rope longrope scaling",
    "VALUE_RANGE",
    /scaling.longFactor.length = 3, expected 4/,
    () =>
      tables({ ...stretch, type: "longrope", shortFactor: [1, 1, 1, 1], longFactor: [1, 2, 3] }),
  ],
  [
    "rope original positions",
    "VALUE_RANGE",
    /scaling.originalPositions = 0.5/,
    () => tables({ type: "yarn", factor: 2, originalPositions: 0.5 }),
  ],
  [
    "rope dynamic scaling of one pair",
    "VALUE_RANGE",
    /dRotary = 2 with dynamic/,
    () => ops.ropeFrequencies({ dRotary: 2, base: 10, scaling: { ...stretch, type: "dynamic" } }),
  ],
  [
    "rope tables",
    "SHAPE_MISMATCH",
    /rope.*\[1, 2, 3, 8\].*\[10, 3\]/,
    () => ops.rope(f(1, 2, 3, 8), f(10, 3), f(10, 3), i(2)),
  ],
  [
    "rope of odd heads",
    "SHAPE_MISMATCH",
    /\[1, 2, 3, 5\].*\[10, 2\]/,
    () => ops.rope(f(1, 2, 3, 5), f(10, 2), f(10, 2), i(2)),
  ],
  [
    "rope positions",
    "SHAPE_MISMATCH",
    /positions of shape \[3\]/,
    () => ops.rope(f(1, 2, 3, 8), f(10, 4), f(10, 4), i(3)),
  ],
  [
    "rope rank",
    "SHAPE_MISMATCH",
    /\[2, 8\].*batch/,
    () => ops.rope(f(2, 8), f(10, 4), f(10, 4), i(2)),
  ],
  [
    "ropeTables",
    "VALUE_RANGE",
    /dRotary = 7/,
    () => ops.ropeTables({ dRotary: 7, base: 10, positions: 2, device }),
  ],
  [
    "attention heads",
    "SHAPE_MISMATCH",
    /attention.*\[1, 2, 3, 4\].*\[1, 2, 2, 4\]/,
    () => ops.attention(f(1, 2, 3, 4), f(1, 2, 2, 4), f(1, 2, 2, 4), { scale: 1 }),
  ],
  [
    "attention values",
    "SHAPE_MISMATCH",
    /v of shape \[1, 3, 1, 4\]/,
    () => ops.attention(f(1, 2, 1, 4), f(1, 2, 1, 4), f(1, 3, 1, 4), { scale: 1 }),
  ],
  [
    "attention kLength",
    "SHAPE_MISMATCH",
    /kLength 5/,
    () => ops.attention(f(1, 2, 1, 4), f(1, 4, 1, 4), f(1, 4, 1, 4), { scale: 1, kLength: 5 }),
  ],
  [
    "attention kLength below qLength",
    "SHAPE_MISMATCH",
    /kLength 1/,
    () => ops.attention(f(1, 2, 1, 4), f(1, 4, 1, 4), f(1, 4, 1, 4), { scale: 1, kLength: 1 }),
  ],
  [
    "attention keyMask",
    "SHAPE_MISMATCH",
    /keyMask of shape \[1, 3\], expected \[1, 4\].*\[1, 2, 1, 4\]/,
    () =>
      ops.attention(f(1, 2, 1, 4), f(1, 4, 1, 4), f(1, 4, 1, 4), { scale: 1, keyMask: b(1, 3) }),
  ],
  [
    "attention keyMask dtype",
    "DTYPE_MISMATCH",
    /keyMask of dtype f32/,
    () =>
      ops.attention(f(1, 2, 1, 4), f(1, 4, 1, 4), f(1, 4, 1, 4), { scale: 1, keyMask: f(1, 4) }),
  ],
  [
    "attention window without causal",
    "VALUE_RANGE",
    /window = 2.*causal/,
    () =>
      ops.attention(f(1, 2, 1, 4), f(1, 2, 1, 4), f(1, 2, 1, 4), {
        scale: 1,
        window: 2,
        causal: false,
      }),
  ],
  [
    "attention window",
    "VALUE_RANGE",
    /window = 0/,
    () => ops.attention(f(1, 2, 1, 4), f(1, 2, 1, 4), f(1, 2, 1, 4), { scale: 1, window: 0 }),
  ],
  [
    "attentionPattern softCap",
    "VALUE_RANGE",
    /attentionPattern.*softCap = -1/,
    () => ops.attentionPattern(f(1, 2, 1, 4), f(1, 2, 1, 4), { scale: 1, softCap: -1 }),
  ],
  [
    "attentionMix",
    "SHAPE_MISMATCH",
    /attentionMix.*\[1, 2, 3, 4\].*\[1, 3, 1, 4\]/,
    () => ops.attentionMix(f(1, 2, 3, 4), f(1, 3, 1, 4)),
  ],
  ["softmax of nothing", "SHAPE_MISMATCH", /softmax.*\[2, 0\]/, () => ops.softmax(f(2, 0))],
  ["logSoftmax of a scalar", "SHAPE_MISMATCH", /logSoftmax/, () => ops.logSoftmax(f())],
  [
    "softmax axis",
    "SHAPE_AXIS",
    /softmax got axis 2.*\[2, 3\]/,
    () => ops.softmax(f(2, 3), { axis: 2 }),
  ],
  [
    "crossEntropy smoothing",
    "VALUE_RANGE",
    /labelSmoothing = 1.5/,
    () => ops.crossEntropy(f(2, 5), i(2), { labelSmoothing: 1.5 }),
  ],
  [
    "crossEntropy zLoss",
    "VALUE_RANGE",
    /zLoss = -1/,
    () => ops.crossEntropy(f(2, 5), i(2), { zLoss: -1 }),
  ],
  [
    "crossEntropy ignoreIndex",
    "VALUE_RANGE",
    /ignoreIndex = 0.5/,
    () => ops.crossEntropy(f(2, 5), i(2), { ignoreIndex: 0.5 }),
  ],
  [
    "klDivergence",
    "SHAPE_MISMATCH",
    /pLogits.*\[2, 5\].*\[2, 4\]/,
    () => ops.klDivergence(f(2, 5), f(2, 4)),
  ],
  ["mseLoss", "SHAPE_MISMATCH", /prediction.*\[2, 5\].*\[5\]/, () => ops.mseLoss(f(2, 5), f(5))],
  [
    "binaryCrossEntropy",
    "DTYPE_MISMATCH",
    /targets of dtype i32/,
    () => ops.binaryCrossEntropy(f(2), i(2)),
  ],
  ["crossEntropy", "SHAPE_MISMATCH", /\[2, 5\].*\[3\]/, () => ops.crossEntropy(f(2, 5), i(3))],
  [
    "crossEntropy dtype",
    "DTYPE_MISMATCH",
    /targets of dtype f32/,
    () => ops.crossEntropy(f(2, 5), f(2)),
  ],
  ["encodeTopK rank", "SHAPE_MISMATCH", /\[6\].*\[rows, width\]/, () => ops.encodeTopK(f(6), 2)],
  ["encodeTopK k", "VALUE_RANGE", /k = 7.*\[3, 6\]/, () => ops.encodeTopK(f(3, 6), 7)],
  [
    "encodeTopK allowed",
    "SHAPE_MISMATCH",
    /\[3, 6\].*\[5\]/,
    () => ops.encodeTopK(f(3, 6), 2, { allowed: i(5) }),
  ],
  [
    "encodeJumpRelu threshold",
    "SHAPE_MISMATCH",
    /\[3, 6\].*\[5\]/,
    () => ops.encodeJumpRelu(f(3, 6), f(5), { bandwidth: 0 }),
  ],
  [
    "encodeJumpRelu bandwidth",
    "VALUE_RANGE",
    /bandwidth = -1/,
    () => ops.encodeJumpRelu(f(3, 6), f(6), { bandwidth: -1 }),
  ],
  [
    "encodeJumpRelu capacity",
    "VALUE_RANGE",
    /capacity = 7/,
    () => ops.encodeJumpRelu(f(3, 6), f(6), { bandwidth: 0, capacity: 7 }),
  ],
  [
    "SparseRows",
    "SHAPE_MISMATCH",
    /values of shape \[3, 4\].*\[3, 2\]/,
    () => new ops.SparseRows({ width: 6, counts: i(3), indices: i(3, 2), values: f(3, 4) }),
  ],
  [
    "SparseRows counts",
    "SHAPE_MISMATCH",
    /counts of shape \[2\]/,
    () => new ops.SparseRows({ width: 6, counts: i(2), indices: i(3, 2), values: f(3, 2) }),
  ],
  [
    "sparseDecode",
    "SHAPE_MISMATCH",
    /\[5, 4\].*\[6, columns\].*3 rows, width 6 and capacity 2/,
    () => ops.sparseDecode(rows(), f(5, 4), null),
  ],
  [
    "sparseDecode bias",
    "SHAPE_MISMATCH",
    /bias of shape \[3\].*\[6, 4\]/,
    () => ops.sparseDecode(rows(), f(6, 4), f(3)),
  ],
  [
    "sparseDot",
    "SHAPE_MISMATCH",
    /x of shape \[3, 5\], expected \[3, 4\]/,
    () => ops.sparseDot(rows(), f(6, 4), f(3, 5)),
  ],
  [
    "sparseOuterAdd",
    "SHAPE_MISMATCH",
    /coefficients of shape \[3, 3\]/,
    () => ops.sparseOuterAdd(rows(), f(3, 3), f(3, 4), f(6, 4)),
  ],
  [
    "sparseOuterAdd into",
    "SHAPE_MISMATCH",
    /into of shape \[5, 4\]/,
    () => ops.sparseOuterAdd(rows(), f(3, 2), f(3, 4), f(5, 4)),
  ],
  [
    "sparseScatterAdd",
    "SHAPE_MISMATCH",
    /into of shape \[5\], expected \[6\]/,
    () => ops.sparseScatterAdd(rows(), f(3, 2), f(5)),
  ],
  [
    "sparseCountFiring",
    "DTYPE_MISMATCH",
    /into of dtype f32.*expected i32/,
    () => ops.sparseCountFiring(rows(), f(6)),
  ],
  [
    "reluGradient",
    "SHAPE_MISMATCH",
    /dValues of shape \[2, 3\]/,
    () => ops.reluGradient(rows(), f(2, 3)),
  ],
  [
    "jumpReluGradient",
    "SHAPE_MISMATCH",
    /threshold of shape \[5\], expected \[6\]/,
    () => jumpWith({ threshold: f(5) }),
  ],
  [
    "jumpReluGradient dThreshold",
    "SHAPE_MISMATCH",
    /dThreshold of shape \[5\]/,
    () => jumpWith({ dThreshold: f(5) }),
  ],
  ["jumpReluGradient bandwidth", "VALUE_RANGE", /bandwidth = 0/, () => jumpWith({ bandwidth: 0 })],
  [
    "adamStep",
    "SHAPE_MISMATCH",
    /gradient of shape \[3\].*\[2\]/,
    () => ops.adamStep(f(2), f(3), { first: f(2), second: f(2) }, adam),
  ],
  [
    "adamStep second",
    "SHAPE_MISMATCH",
    /second of shape \[2, 1\]/,
    () => ops.adamStep(f(2), f(2), { first: f(2), second: f(2, 1) }, adam),
  ],
  [
    "adamStep without first",
    "ADAM_MOMENT_MISSING",
    /beta1 = 0.9/,
    () => ops.adamStep(f(2), f(2), { first: null, second: f(2) }, adam),
  ],
  [
    "adamStep step",
    "VALUE_RANGE",
    /step = 0/,
    () => ops.adamStep(f(2), f(2), { first: f(2), second: f(2) }, { ...adam, step: 0 }),
  ],
  [
    "adamStep beta",
    "VALUE_RANGE",
    /beta2 = 1/,
    () => ops.adamStep(f(2), f(2), { first: f(2), second: f(2) }, { ...adam, beta2: 1 }),
  ],
  ["normalizeRows of a scalar", "SHAPE_MISMATCH", /normalizeRows/, () => ops.normalizeRows(f())],
  [
    "removeParallelRows",
    "SHAPE_MISMATCH",
    /\[2, 3\].*\[3, 2\]/,
    () => ops.removeParallelRows(f(2, 3), f(3, 2)),
  ],
];

describe("operators refuse what does not fit", () => {
  it.each(cases)("%s: %s", (_name, code, message, run) => {
    kernelCalls = 0;
    expect(() => device.scope(run)).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringMatching(message),
        fix: expect.stringMatching(/\S/),
      }),
    );
    expect(kernelCalls).toBe(0);
    expect(device.memory().liveBytes).toBe(0);
  });

  it("with an error of Latentkit, from which isInstance can tell", async () => {
    const { LatentkitError } = await import("@latentkit/core");
    let caught: unknown;
    try {
      device.scope(() => ops.add(f(2), f(3)));
    } catch (error) {
      caught = error;
    }
    expect(LatentkitError.isInstance(caught)).toBe(true);
  });
});

describe("operators leave nothing behind when memory runs out", () => {
  it("in the middle of an operator with several results", () => {
    const backend = createReferenceBackend();
    let left = 3;
    const limited = new Device({
      ...backend,
      allocate(byteLength) {
        if (left-- === 0) throw new RangeError("full");
        return backend.allocate(byteLength);
      },
    });
    const x = limited.tensor([1, 2, 3, 4], [2, 2]);
    // x, then values, then no indices.
    left = 1;
    expect(() => ops.topK(x, 1)).toThrow("full");
    expect(limited.memory().liveBytes).toBe(16);
    left = 2;
    expect(() => ops.encodeTopK(x, 1)).toThrow("full");
    expect(limited.memory().liveBytes).toBe(16);
    limited.dispose();
  });
});
