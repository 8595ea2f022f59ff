import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import {
  crossEntropy,
  type Device,
  layerNorm,
  rmsNorm,
  rope,
  ropeTables,
  softmax,
  Tape,
  type Tensor,
} from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const repetitions = 9;
const epsilon = 1e-5;

type Work = "rmsNorm" | "layerNorm" | "softmax" | "crossEntropy" | "rope";

interface Case {
  readonly work: Work;
  /** For `rope`: tokens, and features of 32 heads. */
  readonly rows: number;
  readonly columns: number;
}

const cases: readonly Case[] = [
  { work: "rmsNorm", rows: 1024, columns: 8192 },
  { work: "softmax", rows: 1024, columns: 8192 },
  { work: "layerNorm", rows: 1024, columns: 8192 },
  { work: "crossEntropy", rows: 1024, columns: 49_152 },
  { work: "rope", rows: 1024, columns: 4096 },
];

const heads = 32;

/** Norms, softmax, cross entropy and rotary embedding, each into a new tensor, forward and with gradients, beside PyTorch. */
export const normaliseBench: Bench = {
  name: "normalise",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    const { threads } = device.info;
    for (const each of cases) {
      for (const pass of ["forward", "backward"] as const) {
        const { ours, peerSeconds, peerName } = await compareSeconds(
          () => time(device, each, pass === "backward"),
          () => runPeer("normalise.py", { ...each, pass, heads, repetitions, threads }),
        );
        const elements = (each.rows * each.columns) / 1e6;
        yield {
          bench: "normalise",
          case: `${each.work}, [${each.rows}, ${each.columns}], f32, ${pass === "forward" ? "forward" : "gradients"}`,
          unit: "M elements/s",
          ours: elements / ours,
          peer: peerSeconds === null ? null : elements / peerSeconds,
          peerName,
          ratio: peerSeconds === null ? null : peerSeconds / ours,
          device: `WebAssembly, ${threads} threads`,
        };
      }
    }
  },
};

/** Median seconds of the forward pass, or of the gradients after one. */
async function time(device: Device, each: Case, backward: boolean): Promise<number> {
  const random = new Random(0);
  const seconds: number[] = [];
  using inputs = new Disposables();
  const { x, parameters, run } = prepare(device, each, random, inputs);
  const wrt = [x, ...parameters];
  using seed = inputs.add(like(device, run(wrt), random));
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    using tape = new Tape(device);
    if (backward) for (const tensor of wrt) tape.watch(tensor);
    let start = performance.now();
    const out = backward ? tape.run(() => run(wrt)) : run(wrt);
    if (backward) start = performance.now();
    const results = backward ? [out, ...tape.gradients(out, wrt, seed)] : [out];
    const last = results.at(-1) ?? out;
    using flat = last.reshape([last.size]);
    using one = flat.rows(0, 1);
    await one.floats(); // waits for the device
    if (repetition > 0) seconds.push((performance.now() - start) / 1000);
    for (const tensor of results) tensor.dispose();
  }
  return median(seconds);
}

function prepare(
  device: Device,
  { work, rows, columns }: Case,
  random: Random,
  inputs: Disposables,
): { x: Tensor; parameters: Tensor[]; run: (wrt: readonly Tensor[]) => Tensor } {
  const normal = (shape: readonly number[]): Tensor => {
    const size = shape.reduce((product, each) => product * each, 1);
    return inputs.add(device.tensor(normals(random, size), shape));
  };
  const given = (tensor: Tensor | undefined): Tensor => tensor ?? normal([0]);
  switch (work) {
    case "rmsNorm":
      return {
        x: normal([rows, columns]),
        parameters: [normal([columns])],
        run: ([x, weight]) => rmsNorm(given(x), given(weight), epsilon),
      };
    case "layerNorm":
      return {
        x: normal([rows, columns]),
        parameters: [normal([columns]), normal([columns])],
        run: ([x, weight, bias]) => layerNorm(given(x), given(weight), given(bias), epsilon),
      };
    case "softmax":
      return { x: normal([rows, columns]), parameters: [], run: ([x]) => softmax(given(x)) };
    case "crossEntropy": {
      const classes = Int32Array.from({ length: rows }, () => random.integer(columns));
      const targets = inputs.add(device.tensor(classes, [rows]));
      return {
        x: normal([rows, columns]),
        parameters: [],
        run: ([x]) => crossEntropy(given(x), targets),
      };
    }
    case "rope": {
      const dHead = columns / heads;
      const tables = ropeTables({ dRotary: dHead, base: 10_000, positions: rows, device });
      const [cos, sin] = [inputs.add(tables.cos), inputs.add(tables.sin)];
      const positions = inputs.add(
        device.tensor(
          Int32Array.from({ length: rows }, (_, row) => row),
          [rows],
        ),
      );
      return {
        x: normal([1, rows, heads, dHead]),
        parameters: [],
        run: ([x]) => rope(given(x), cos, sin, positions),
      };
    }
  }
}

/** Normals of a tensor's shape; the tensor is freed. */
function like(device: Device, tensor: Tensor, random: Random): Tensor {
  const { shape, size } = tensor;
  tensor.dispose();
  return device.tensor(normals(random, size), shape);
}

/** A hundred thousand normals, again and again: drawing fifty million takes seconds. */
function normals(random: Random, size: number): Float32Array<ArrayBuffer> {
  const some = random.fillNormal(new Float32Array(Math.min(size, 99_991)), 1);
  const values = new Float32Array(size);
  for (let at = 0; at < size; at += some.length)
    values.set(some.subarray(0, Math.min(some.length, size - at)), at);
  return values;
}

/** Tensors that are freed together. */
class Disposables implements Disposable {
  readonly #tensors: Tensor[] = [];

  add(tensor: Tensor): Tensor {
    this.#tensors.push(tensor);
    return tensor;
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }
}
