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
const h = (...shape: number[]): Tensor =>
  device.fromBytes(
    new Uint8Array(2 * shape.reduce((product, size) => product * size, 1)),
    shape,
    "f16",
  );
const rows = (): ops.SparseRows =>
  new ops.SparseRows({ width: 6, counts: i(3), indices: i(3, 2), values: f(3, 2) });
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
  ["matmul rank", "SHAPE_MISMATCH", /\[3\].*\[3, 5\].*two axes/, () => ops.matmul(f(3), f(3, 5))],
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
  ["convert", "DTYPE_MISMATCH", /convert.*i32.*f32/, () => ops.convert(i(2), "f32")],
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
  ["rmsNorm", "SHAPE_MISMATCH", /rmsNorm.*\[2, 3\].*\[4\]/, () => ops.rmsNorm(f(2, 3), f(4), 1e-5)],
  ["rmsNorm epsilon", "VALUE_RANGE", /epsilon = -1/, () => ops.rmsNorm(f(2, 3), null, -1)],
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
  ["softmax of nothing", "SHAPE_MISMATCH", /softmax.*\[2, 0\]/, () => ops.softmax(f(2, 0))],
  ["logSoftmax of a scalar", "SHAPE_MISMATCH", /logSoftmax/, () => ops.logSoftmax(f())],
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
