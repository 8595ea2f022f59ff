// A few operators of every family, forward and backward, on whatever device: bundled for the browser, and run in Node beside it.
import { RandomKey } from "@latentkit/core";
import {
  adamStep,
  add,
  attention,
  crossEntropy,
  cumsum,
  type Device,
  embedding,
  encodeJumpRelu,
  encodeTopK,
  geluTanh,
  layerNorm,
  linear,
  matmul,
  mean,
  randomBits,
  randomNormal,
  randomUniform,
  rmsNorm,
  rope,
  ropeTables,
  siluMul,
  softmax,
  sort,
  sparseDecode,
  sparseToDense,
  square,
  sub,
  sum,
  type Tensor,
  valueAndGrad,
} from "@latentkit/tensor";

/** Operators by name, as `smoke` runs them. */
const cases: Readonly<Record<string, (device: Device) => Tensor>> = {
  matmul: (device) => matmul(wave(device, [33, 17], 1), wave(device, [17, 65], 2)),
  linear: (device) =>
    linear(wave(device, [1, 130], 3), wave(device, [70, 130], 4), wave(device, [70], 5)),
  geluTanh: (device) => geluTanh(wave(device, [257], 6)),
  siluMul: (device) => siluMul(wave(device, [5, 67], 7), wave(device, [5, 67], 8)),
  broadcast: (device) => add(wave(device, [7, 1, 9], 9), wave(device, [3, 9], 10)),
  sum: (device) => sum(wave(device, [3, 1000], 11), { axis: 1 }),
  softmax: (device) => softmax(wave(device, [4, 301], 12)),
  rmsNorm: (device) => rmsNorm(wave(device, [6, 130], 13), wave(device, [130], 14), 1e-6),
  layerNorm: (device) =>
    layerNorm(wave(device, [6, 130], 15), wave(device, [130], 16), wave(device, [130], 17), 1e-5),
  rope: (device) => {
    const { cos, sin } = ropeTables({ dRotary: 8, positions: 5, base: 10_000, device });
    const positions = device.tensor(Int32Array.of(0, 1, 2, 3, 4), [5]);
    return rope(wave(device, [1, 5, 2, 8], 18), cos, sin, positions);
  },
  attention: (device) =>
    attention(
      wave(device, [1, 9, 4, 16], 19),
      wave(device, [1, 9, 2, 16], 20),
      wave(device, [1, 9, 2, 16], 21),
      { scale: 0.25 },
    ),
  embedding: (device) => embedding(wave(device, [50, 12], 22), [0, 49, 7, 7]),
  sort: (device) => sort(wave(device, [3, 100], 23)).values,
  cumsum: (device) => cumsum(wave(device, [3, 100], 24), { axis: 1 }),
  crossEntropy: (device) =>
    crossEntropy(wave(device, [4, 301], 25), device.tensor(Int32Array.of(0, 300, 12, -100), [4])),
  topK: (device) => sparseToDense(encodeTopK(wave(device, [5, 200], 26), 8)),
  jumpRelu: (device) =>
    sparseToDense(
      encodeJumpRelu(wave(device, [5, 200], 27), device.full([200], 0.5), { bandwidth: 0 }).rows,
    ),
  sparseDecode: (device) =>
    sparseDecode(encodeTopK(wave(device, [5, 200], 28), 8), wave(device, [200, 24], 29), null),
  gradient: (device) => {
    const [x, y] = [wave(device, [20, 6], 30), wave(device, [20, 3], 31)];
    const loss = (weight: Tensor): Tensor =>
      mean(square(sub(geluTanh(matmul(x, weight)), y)), { axis: [0, 1] });
    return valueAndGrad(loss)(wave(device, [6, 3], 32)).gradients;
  },
  adam: (device) => {
    const parameter = wave(device, [77], 33);
    const moments = { first: device.zeros([77]), second: device.zeros([77]) };
    const plan = { step: 1, learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    adamStep(parameter, wave(device, [77], 34), moments, { ...plan, weightDecay: 0.01 });
    return parameter;
  },
  randomUniform: (device) => randomUniform(device, [100], new RandomKey(1)),
  randomNormal: (device) => randomNormal(device, [100], new RandomKey(2)),
  randomBits: (device) => randomBits(device, [100], new RandomKey(3)),
};

/** What each operator gives, by its name, and the bytes that were left alive: none. */
export async function smoke(
  device: Device,
): Promise<{ readonly results: Record<string, number[]>; readonly live: number }> {
  const results: Record<string, number[]> = {};
  for (const [name, run] of Object.entries(cases)) {
    using result = device.scope(() => run(device));
    const numbers = result.dtype === "i32" ? await result.integers() : await result.floats();
    results[name] = [...numbers];
  }
  return { results, live: device.memory().liveBytes };
}

/** Numbers between -2 and 2 without a pattern that a kernel could get right by chance. */
function wave(device: Device, shape: readonly number[], seed: number): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return device.tensor(
    Float32Array.from({ length: size }, (_, index) => 2 * Math.sin(1.7 * index + 12.9 * seed)),
    shape,
  );
}
