import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Device } from "../../device.ts";
import { add, mul } from "../../operators/arithmetic.ts";
import { clone } from "../../operators/layout.ts";
import { linear } from "../../operators/matmul.ts";
import { sum } from "../../operators/reduce.ts";
import { clipRowNorms } from "../../operators/row-norms.ts";
import { encodeBatchTopK, encodeJumpRelu, encodeTopK } from "../../operators/sparse-encode.ts";
import { type SparseActivation, sparseEncode } from "../../operators/sparse-fused.ts";
import { sparseDecode, sparseToDense } from "../../operators/sparse-products.ts";
import type { SparseRows } from "../../sparse-rows.ts";
import type { Tensor } from "../../tensor.ts";
// Made by oracles/tensor/sparse.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/sparse.json" with { type: "json" };
import { readAll, type Suite } from "./agree.ts";
import { floatsOf, type Packed, unpack } from "./packed.ts";

interface EncoderGolden {
  readonly activation: string;
  readonly k?: number;
  readonly bandwidth?: number;
  readonly x: Packed;
  readonly weight: Packed;
  readonly bias: Packed;
  readonly decoder: Packed;
  readonly decoderBias: Packed;
  readonly threshold: Packed;
  readonly dOut: Packed;
  readonly dL0: Packed;
  readonly latents: Packed;
  readonly out: Packed;
  readonly dX: Packed;
  readonly dWeight: Packed;
  readonly dBias: Packed;
  readonly dDecoder: Packed;
  readonly dDecoderBias: Packed;
  readonly l0?: Packed;
  readonly dThreshold?: Packed;
}

const cases: readonly (readonly [string, EncoderGolden])[] = Object.entries(goldens.encoders);
/** f32 sums of up to 24 terms against f64. */
const tolerance = { rtol: 1e-5, atol: 2e-5 };

interface Encoded {
  readonly rows: SparseRows;
  readonly l0: Tensor | null;
}

/** The encoder as one operator, and in two steps. */
const forms: Readonly<
  Record<string, (x: Tensor, weight: Tensor, bias: Tensor, activation: SparseActivation) => Encoded>
> = {
  fused: (x, weight, bias, activation) => sparseEncode({ x, weight, bias, activation }),
  apart: (x, weight, bias, activation) => {
    const pre = linear(x, weight, bias);
    if (activation.kind === "topK") return { rows: encodeTopK(pre, activation.k), l0: null };
    if (activation.kind === "batchTopK")
      return { rows: encodeBatchTopK(pre, activation.k), l0: null };
    if (activation.kind === "relu") return encodeJumpRelu(pre, 0, { bandwidth: 0 });
    return encodeJumpRelu(pre, activation.threshold, { bandwidth: activation.bandwidth ?? 0 });
  },
};

/** Sparse encoders and decoders as PyTorch's autograd has them densely, and JumpReLU as SAELens has it. */
export function sparseGoldenSuite(suite: Suite): void {
  it.each(cases.flatMap(([name]) => Object.keys(forms).map((form) => [name, form] as const)))(
    "an encoder, its decoder and their gradients equal PyTorch's: %s, %s",
    async (name, form) => {
      const golden = cases.find(([own]) => own === name)?.[1];
      const encode = forms[form];
      if (golden === undefined || encode === undefined) throw new TypeError("no such case");
      const read = await readAll(suite.device, 0, ({ device }) => run(device, golden, encode));
      const expected: Record<string, Packed | undefined> = {
        latents: golden.latents,
        out: golden.out,
        dX: golden.dX,
        dWeight: golden.dWeight,
        dBias: golden.dBias,
        dDecoder: golden.dDecoder,
        dDecoderBias: golden.dDecoderBias,
        l0: golden.l0,
        dThreshold: golden.dThreshold,
      };
      for (const [part, packed] of Object.entries(expected)) {
        if (packed === undefined) continue;
        expect(read.get(part)?.shape, `shape of ${part}`).toEqual(packed.shape);
        expect(read.get(part)?.values ?? [], part).toBeClose(floatsOf(packed), tolerance);
      }
    },
  );

  it("clipRowNorms equals torch.renorm", async () => {
    const { x, maximum, out } = goldens.clipRowNorms;
    const read = await readAll(suite.device, 0, ({ device }) => {
      const clipped = clone(unpack(device, x));
      clipRowNorms(clipped, maximum);
      return { clipped };
    });
    // PyTorch adds 1e-7 to the norm.
    expect(read.get("clipped")?.values ?? []).toBeClose(floatsOf(out), { rtol: 1e-6, atol: 1e-6 });
  });
}

function run(
  device: Device,
  golden: EncoderGolden,
  encode: (x: Tensor, weight: Tensor, bias: Tensor, activation: SparseActivation) => Encoded,
): Record<string, Tensor> {
  const of = (packed: Packed): Tensor => unpack(device, packed);
  const [x, weight, bias] = [of(golden.x), of(golden.weight), of(golden.bias)];
  const [decoder, decoderBias, threshold] = [
    of(golden.decoder),
    of(golden.decoderBias),
    of(golden.threshold),
  ];
  const wrt = [x, weight, bias, decoder, decoderBias, threshold];
  using tape = new Tape(device);
  for (const tensor of wrt) tape.watch(tensor);
  const { encoded, out, loss } = tape.run(() => {
    const result = encode(x, weight, bias, activationOf(golden, threshold));
    const decoded = sparseDecode(result.rows, decoder, decoderBias);
    const main = sum(mul(decoded, of(golden.dOut)));
    const penalty = golden.l0 === undefined ? null : result.l0;
    return {
      encoded: result,
      out: decoded,
      loss: penalty === null ? main : add(main, sum(mul(penalty, of(golden.dL0)))),
    };
  });
  const latents = sparseToDense(encoded.rows);
  const [dX, dWeight, dBias, dDecoder, dDecoderBias, dThreshold] = tape.gradients(loss, wrt);
  if (!dX || !dWeight || !dBias || !dDecoder || !dDecoderBias || !dThreshold)
    throw new TypeError("six gradients were asked for");
  const gradients = { dX, dWeight, dBias, dDecoder, dDecoderBias, dThreshold };
  return { latents, out, ...gradients, ...(encoded.l0 === null ? {} : { l0: encoded.l0 }) };
}

function activationOf(golden: EncoderGolden, threshold: Tensor): SparseActivation {
  const { activation, k = 0, bandwidth = 0 } = golden;
  if (activation === "topK" || activation === "batchTopK") return { kind: activation, k };
  return activation === "relu" ? { kind: "relu" } : { kind: "jumpRelu", threshold, bandwidth };
}
