/* oxlint-disable vitest/expect-expect -- check() asserts */
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Device } from "../../device.ts";
import type { Activation } from "../../backend.ts";
import { linear, matmul } from "../../operators/matmul.ts";
import type { Tensor } from "../../tensor.ts";
// Made by oracles/tensor/matmul.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/matmul.json" with { type: "json" };
import { readAll, type Suite } from "./agree.ts";
import { floatsOf, type Packed, unpack } from "./packed.ts";

interface ProductGolden {
  readonly a: Packed;
  readonly b: Packed;
  readonly out: Packed;
  readonly dOut: Packed;
  readonly dA: Packed;
  readonly dB: Packed;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
}

interface LinearGolden {
  readonly x: Packed;
  readonly weight: Packed;
  readonly bias?: Packed;
  readonly out: Packed;
  readonly dOut: Packed;
  readonly dX: Packed;
  readonly dWeight: Packed;
  readonly dBias?: Packed;
  readonly activation: string;
}

const products: readonly (readonly [string, ProductGolden])[] = Object.entries(goldens.products);
const linears: readonly (readonly [string, LinearGolden])[] = Object.entries(goldens.linear);
const activations: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  geluTanh: "geluTanh",
  relu: "relu",
  silu: "silu",
};

/** PyTorch's matrix products, forward and gradient. */
export function matmulGoldenSuite(suite: Suite): void {
  it.each(products)("matmul and its gradient equal PyTorch's: %s", async (_name, golden) => {
    const { out, dOut, dA, dB, ...options } = golden;
    await check(
      suite,
      [golden.a, golden.b],
      ([a, b]) => matmul(given(a), given(b), options),
      { out, dOut },
      [dA, dB],
    );
  });

  it.each(linears)("linear and its gradient equal PyTorch's: %s", async (_name, golden) => {
    const { x, weight, bias, out, dOut, dX, dWeight, dBias } = golden;
    const activation = activations[golden.activation] ?? null;
    await check(
      suite,
      bias === undefined ? [x, weight] : [x, weight, bias],
      ([input, matrix, shift]) =>
        linear(given(input), given(matrix), shift ?? null, { activation }),
      { out, dOut },
      dBias === undefined ? [dX, dWeight] : [dX, dWeight, dBias],
    );
  });
}

async function check(
  suite: Suite,
  inputs: readonly Packed[],
  forward: (inputs: readonly Tensor[]) => Tensor,
  { out, dOut }: { readonly out: Packed; readonly dOut: Packed },
  gradients: readonly Packed[],
): Promise<void> {
  const run = (device: Device): Record<string, Tensor> => {
    const wrt = inputs.map((packed) => unpack(device, packed));
    using tape = new Tape(device);
    for (const tensor of wrt) tape.watch(tensor);
    const result = tape.run(() => forward(wrt));
    const found = tape.gradients(result, wrt, unpack(device, dOut));
    return Object.fromEntries([result, ...found].map((tensor, index) => [`${index}`, tensor]));
  };
  const actual = await readAll(suite.device, 0, ({ device }) => run(device));
  for (const [index, expected] of [out, ...gradients].entries()) {
    const name = index === 0 ? "out" : `gradient ${index - 1}`;
    const got = actual.get(`${index}`);
    expect(got?.shape, `shape of ${name}`).toEqual(expected.shape);
    // Sums of up to 30 products of normals in f32.
    expect(got?.values ?? [], name).toBeClose(floatsOf(expected), { rtol: 2e-6, atol: 4e-6 });
  }
}

function given(tensor: Tensor | undefined): Tensor {
  if (tensor === undefined) throw new TypeError("the case has fewer inputs than its operator");
  return tensor;
}
