// A small SAE-like object with random weights, and what it computes on the host.
import { Random } from "@latentkit/core";
import { type Device, matmul, relu, type Tensor } from "@latentkit/tensor";
import type { LatentCodec } from "../splice.ts";

export interface TestCodec extends LatentCodec<Tensor> {
  readonly latents: number;
  readonly steps: NonNullable<LatentCodec<Tensor>["steps"]>;
  /** In f64: pre-activations, latents and reconstruction of rows of activations. */
  onHost(x: Float32Array): { readonly pre: number[]; readonly acts: number[]; readonly recons: number[] };
  decodeOnHost(acts: readonly number[]): number[];
  dispose(): void;
}

/** ReLU of `x W_enc`, and `latents W_dec`. */
export function testCodec(device: Device, width: number, outputs = width): TestCodec {
  const latents = 9;
  const random = new Random(12);
  const encoder = random.fillNormal(new Float32Array(width * latents), 1 / Math.sqrt(width));
  const decoder = random.fillNormal(new Float32Array(latents * outputs), 1 / Math.sqrt(latents));
  const [encoderTensor, decoderTensor] = [device.tensor(encoder, [width, latents]), device.tensor(decoder, [latents, outputs])];
  const steps = {
    preActivations: (x: Tensor) => matmul(x, encoderTensor),
    activate: (pre: Tensor) => relu(pre),
  };
  const decodeOnHost = (acts: readonly number[]) => product(acts, decoder, latents, outputs);
  return {
    latents,
    steps,
    encode: (x) => steps.activate(steps.preActivations(x)),
    decode: (acts) => matmul(acts, decoderTensor),
    onHost(x) {
      const pre = product(x, encoder, width, latents);
      const acts = pre.map((value) => Math.max(0, value));
      return { pre, acts, recons: decodeOnHost(acts) };
    },
    decodeOnHost,
    dispose() {
      encoderTensor.dispose();
      decoderTensor.dispose();
    },
  };
}

/** `x [rows, inner] times y [inner, columns]`. */
function product(x: ArrayLike<number>, y: Float32Array, inner: number, columns: number): number[] {
  const rows = x.length / inner;
  return Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    let total = 0;
    for (let at = 0; at < inner; at++) total += (x[row * inner + at] ?? 0) * (y[at * columns + column] ?? 0);
    return total;
  });
}
