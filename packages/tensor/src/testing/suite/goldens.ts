/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import { expect, it } from "vitest";
import type { Device } from "../../device.ts";
import { add, mul, sub } from "../../operators/arithmetic.ts";
import {
  abs,
  exp,
  gelu,
  geluTanh,
  log,
  neg,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sqrt,
  square,
  tanh,
} from "../../operators/unary.ts";
import { linear, matmul } from "../../operators/matmul.ts";
import { adamStep } from "../../operators/optimise.ts";
import { mean, sum, sumOfSquares } from "../../operators/reduce.ts";
import { encodeJumpRelu, encodeTopK } from "../../operators/sparse-encode.ts";
import { jumpReluGradient, reluGradient } from "../../operators/sparse-gradients.ts";
import {
  sparseDecode,
  sparseDot,
  sparseOuterAdd,
  sparseRowL0,
  sparseScatterAdd,
  sparseToDense,
} from "../../operators/sparse-products.ts";
import { crossEntropy } from "../../operators/losses.ts";
import { rmsNorm } from "../../operators/normalise.ts";
import { rope } from "../../operators/position.ts";
import { ropeTables } from "../../operators/rope-tables.ts";
import { logSoftmax, softmax } from "../../operators/softmax.ts";
import type { SparseRows } from "../../sparse-rows.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
// Made by oracles/tensor/make.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/torch.json" with { type: "json" };
import { readAll, type Suite } from "./agree.ts";

/** A tensor in the golden file: little-endian elements in base64. */
interface Packed {
  readonly shape: readonly number[];
  readonly f32?: string;
  readonly i32?: string;
}

const unaries: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  abs,
  exp,
  gelu,
  geluTanh,
  log,
  neg,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sqrt,
  square,
  tanh,
};

/**
 * Operators against PyTorch, Hugging Face's Llama modules and SAELens.
 *
 * @param slack factor of the tolerances; 1 is what f64 inside and one rounding at the end can keep
 */
export function goldenSuite(suite: Suite, slack: number): void {
  const tolerance = (rtol: number, atol: number): Tolerance => ({
    rtol: rtol * slack,
    atol: atol * slack,
  });

  it.each(Object.entries(goldens.unary.results))("%s equals PyTorch's", async (name, expected) => {
    const operator = unaries[name];
    if (operator === undefined) throw new TypeError(`no operator ${name}`);
    const input = goldens.unary.positiveOperators.includes(name)
      ? goldens.unary.positive
      : goldens.unary.x;
    await check(
      suite,
      tolerance(4e-7, 1e-7),
      (device) => ({ out: operator(unpack(device, input)) }),
      { out: expected },
    );
  });

  it("matmul equals PyTorch's in all transpositions, batched and scaled", async () => {
    const { plain, batched } = goldens.matmul;
    const run = (device: Device) => {
      const [a, b, aT, bT] = [
        unpack(device, plain.a),
        unpack(device, plain.b),
        unpack(device, plain.aT),
        unpack(device, plain.bT),
      ];
      return {
        nn: matmul(a, b),
        nt: matmul(a, bT, { transposeB: true }),
        tn: matmul(aT, b, { transposeA: true }),
        tt: matmul(aT, bT, { transposeA: true, transposeB: true }),
        half: matmul(a, b, { alpha: 0.5 }),
        batched: matmul(unpack(device, batched.a), unpack(device, batched.b)),
      };
    };
    const { out } = plain;
    await check(suite, tolerance(2e-7, 1e-7), run, {
      nn: out,
      nt: out,
      tn: out,
      tt: out,
      half: plain.half,
      batched: batched.out,
    });
  });

  it("linear equals PyTorch's", async () => {
    const golden = goldens.matmul.linear;
    const run = (device: Device) => {
      const [x, weight] = [unpack(device, golden.x), unpack(device, golden.weight)];
      return { out: linear(x, weight, unpack(device, golden.bias)), plain: linear(x, weight) };
    };
    await check(suite, tolerance(4e-7, 3e-7), run, { out: golden.out, plain: golden.plain });
  });

  it("rmsNorm equals LlamaRMSNorm", async () => {
    const golden = goldens.rmsNorm;
    await check(
      suite,
      tolerance(1e-6, 1e-7),
      (device) => ({
        out: rmsNorm(unpack(device, golden.x), unpack(device, golden.weight), golden.epsilon),
      }),
      { out: golden.out },
    );
  });

  it("rope and its tables equal Llama's rotary embedding", async () => {
    const golden = goldens.rope;
    const positions = integersOf(golden.positions);
    const run = (device: Device) => {
      const x = unpack(device, golden.x);
      const { cos, sin } = ropeTables({ dRotary: 16, base: golden.base, positions: 4096, device });
      const out = rope(x, cos, sin, device.tensor(positions, [positions.length]));
      const rows = (table: Tensor) => add(table.rows(3000, 3001), 0);
      return { out, cos: rows(cos), sin: rows(sin) };
    };
    const last = (packed: Packed): Packed => pack(floatsOf(packed).slice(-8), [1, 8]);
    // Both sides compute angles in f32; a last-place difference of the frequency grows with the position, here up to 3000.
    await check(suite, tolerance(1e-6, 2e-4), run, {
      out: golden.out,
      cos: last(golden.cos),
      sin: last(golden.sin),
    });
  });

  it("softmax, logSoftmax and crossEntropy equal PyTorch's", async () => {
    const golden = goldens.softmax;
    const run = (device: Device) => {
      const x = unpack(device, golden.x);
      return {
        softmax: softmax(x),
        logSoftmax: logSoftmax(x),
        crossEntropy: crossEntropy(x, unpack(device, golden.targets)),
      };
    };
    await check(suite, tolerance(4e-7, 1e-7), run, {
      softmax: golden.softmax,
      logSoftmax: golden.logSoftmax,
      crossEntropy: golden.crossEntropy,
    });
  });

  it.each(Object.entries(goldens.adam))(
    "adamStep equals torch.optim.AdamW over eight steps: %s",
    async (_name, golden) => {
      const steps = golden.after.shape[0] ?? 0;
      const run = (device: Device) => {
        const parameter = unpack(device, golden.start);
        const gradients = unpack(device, golden.gradients);
        const first = golden.beta1 === 0 ? null : device.zeros(parameter.shape);
        const second = device.zeros(parameter.shape);
        const after: Record<string, Tensor> = {};
        for (let step = 1; step <= steps; step++) {
          const gradient = gradients.rows(step - 1, step).reshape(parameter.shape);
          adamStep(parameter, gradient, { first, second }, { ...golden, step });
          after[`step ${step}`] = add(parameter, 0);
        }
        return after;
      };
      const size = golden.start.shape[0] ?? 0;
      const expected = Object.fromEntries(
        Array.from({ length: steps }, (_, index) => [
          `step ${index + 1}`,
          pack(floatsOf(golden.after).slice(index * size, (index + 1) * size), [size]),
        ]),
      );
      await check(suite, tolerance(1e-6, 1e-6), run, expected);
    },
  );

  it("a TopK SAE's reconstruction, loss and gradients equal autograd's", async () => {
    const golden = goldens.topKSae;
    const run = (device: Device) => {
      const [x, encoder, decoder] = [
        unpack(device, golden.x),
        unpack(device, golden.encoder),
        unpack(device, golden.decoder),
      ];
      const rows = encodeTopK(linear(x, encoder, unpack(device, golden.encoderBias)), golden.k);
      const { dReconstruction, ...results } = reconstruct(
        rows,
        decoder,
        unpack(device, golden.decoderBias),
        x,
      );
      const dPre = reluGradient(rows, sparseDot(rows, decoder, dReconstruction));
      return { ...results, features: sparseToDense(rows), ...encoderGradients(rows, dPre, x) };
    };
    await check(suite, tolerance(2e-6, 1e-6), run, saeGoldens(golden));
  });

  it("a JumpReLU SAE's reconstruction, loss and pseudo-gradients equal SAELens's", async () => {
    const golden = goldens.jumpReluSae;
    const { bandwidth, coefficient } = golden;
    const run = (device: Device) => {
      const [x, encoder, decoder] = [
        unpack(device, golden.x),
        unpack(device, golden.encoder),
        unpack(device, golden.decoder),
      ];
      const threshold = unpack(device, golden.threshold);
      const encoded = encodeJumpRelu(
        linear(x, encoder, unpack(device, golden.encoderBias)),
        threshold,
        { bandwidth },
      );
      const { rows } = encoded;
      const { dReconstruction, loss, ...results } = reconstruct(
        rows,
        decoder,
        unpack(device, golden.decoderBias),
        x,
      );
      const dThreshold = device.zeros(threshold.shape);
      const dValues = sparseDot(rows, decoder, dReconstruction);
      const dPre = jumpReluGradient({
        ...encoded,
        threshold,
        bandwidth,
        sparsity: coefficient / rows.rows,
        dValues,
        dThreshold,
      });
      const l0 = sparseRowL0(rows);
      const total = add(loss, mul(mean(l0), coefficient));
      return {
        ...results,
        loss: total.reshape([1]),
        features: sparseToDense(rows),
        l0,
        dThreshold,
        ...encoderGradients(rows, dPre, x),
      };
    };
    await check(suite, tolerance(2e-6, 2e-6), run, {
      ...saeGoldens(golden),
      l0: golden.l0,
      dThreshold: golden.dThreshold,
    });
  });
}

/** Decodes and takes the gradients of the mean over rows of `|x - reconstruction|^2`. */
function reconstruct(rows: SparseRows, decoder: Tensor, bias: Tensor, x: Tensor) {
  const { device } = x;
  const reconstruction = sparseDecode(rows, decoder, bias);
  const residual = sub(reconstruction, x);
  const loss = mean(sumOfSquares(residual, { axis: 1 }), { axis: 0, keepDims: true });
  const dReconstruction = mul(residual, 2 / rows.rows);
  const dDecoder = device.zeros(decoder.shape);
  sparseOuterAdd(rows, rows.values, dReconstruction, dDecoder);
  return {
    reconstruction,
    loss,
    dDecoder,
    dDecoderBias: sum(dReconstruction, { axis: 0 }),
    dReconstruction,
  };
}

function encoderGradients(rows: SparseRows, dPre: Tensor, x: Tensor) {
  const dEncoder = x.device.zeros([rows.width, x.shape[1] ?? 0]);
  const dEncoderBias = x.device.zeros([rows.width]);
  sparseOuterAdd(rows, dPre, x, dEncoder);
  sparseScatterAdd(rows, dPre, dEncoderBias);
  return { dEncoder, dEncoderBias };
}

type SaeName =
  | "reconstruction"
  | "loss"
  | "features"
  | "dDecoder"
  | "dDecoderBias"
  | "dEncoder"
  | "dEncoderBias";

function saeGoldens({
  reconstruction,
  loss,
  features,
  dDecoder,
  dDecoderBias,
  dEncoder,
  dEncoderBias,
}: Record<SaeName, Packed>): Record<SaeName, Packed> {
  return { reconstruction, loss, features, dDecoder, dDecoderBias, dEncoder, dEncoderBias };
}

async function check(
  suite: Suite,
  tolerance: Tolerance,
  run: (device: Device) => Record<string, Tensor>,
  expected: Record<string, Packed>,
): Promise<void> {
  const actual = await readAll(suite.device, 0, (inputs) => run(inputs.device));
  expect([...actual.keys()].sort()).toEqual(Object.keys(expected).sort());
  for (const [name, packed] of Object.entries(expected)) {
    expect(actual.get(name)?.shape, `shape of ${name}`).toEqual(packed.shape);
    expect(actual.get(name)?.values ?? [], name).toBeClose(floatsOf(packed), tolerance);
  }
}

function unpack(device: Device, packed: Packed): Tensor {
  return packed.i32 === undefined
    ? device.tensor(floatsOf(packed), packed.shape)
    : device.tensor(integersOf(packed), packed.shape);
}

function pack(values: Float32Array, shape: readonly number[]): Packed {
  return {
    shape,
    f32: btoa(
      String.fromCharCode(...new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
    ),
  };
}

function floatsOf(packed: Packed): Float32Array {
  return new Float32Array(bytesOf(packed.f32 ?? ""));
}

function integersOf(packed: Packed): Int32Array {
  return new Int32Array(bytesOf(packed.i32 ?? ""));
}

function bytesOf(base64: string): ArrayBuffer {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;
}
