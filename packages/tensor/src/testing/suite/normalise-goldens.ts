/* oxlint-disable vitest/expect-expect -- check() asserts */
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Device } from "../../device.ts";
import {
  binaryCrossEntropy,
  crossEntropy,
  klDivergence,
  mseLoss,
  type Reduction,
} from "../../operators/losses.ts";
import {
  layerNorm,
  layerNormWithScale,
  rmsNorm,
  rmsNormWithScale,
} from "../../operators/normalise.ts";
import { logSoftmax, softmax } from "../../operators/softmax.ts";
import type { Tensor } from "../../tensor.ts";
// Made by oracles/tensor/normalise.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/normalise.json" with { type: "json" };
import { readAll, type Suite } from "./agree.ts";
import { floatsOf, type Packed, unpack } from "./packed.ts";

/** A function's output, and the gradients to its inputs from `dOut`. */
interface Golden {
  readonly inputs: readonly Packed[];
  readonly gradients: readonly Packed[];
  readonly out: Packed;
  readonly dOut: Packed;
}

const { epsilon } = goldens.norms;

const norms: readonly (readonly [keyof typeof goldens.norms, (...inputs: Tensor[]) => Tensor])[] = [
  ["rmsNorm", (x, weight) => rmsNorm(given(x), given(weight), epsilon)],
  ["rmsNormPlain", (x) => rmsNorm(given(x), null, epsilon)],
  ["layerNorm", (x, weight, bias) => layerNorm(given(x), given(weight), given(bias), epsilon)],
  ["layerNormPlain", (x) => layerNorm(given(x), null, null, epsilon)],
  ["rmsNormNormalized", (x) => rmsNormWithScale(given(x), epsilon).normalized],
  ["rmsNormScale", (x) => rmsNormWithScale(given(x), epsilon).scale],
  ["layerNormNormalized", (x) => layerNormWithScale(given(x), epsilon).normalized],
  ["layerNormScale", (x) => layerNormWithScale(given(x), epsilon).scale],
];

const losses = { klDivergence, mseLoss, binaryCrossEntropy } as const;

/** Norms, softmax and losses with their gradients against PyTorch. */
export function normaliseGoldenSuite(suite: Suite): void {
  it.each(norms)("%s and its gradients equal PyTorch's", async (name, run) => {
    await check(suite, goldenOf(goldens.norms[name]), run);
  });

  it.each(goldens.softmax)(
    "softmax along axis $axis, logarithm: $logarithm, and its gradient equal PyTorch's",
    async ({ axis, logarithm, ...tensors }) => {
      const operator = logarithm ? logSoftmax : softmax;
      await check(suite, goldenOf(tensors), (x) => operator(given(x), { axis }));
    },
  );

  it.each(goldens.crossEntropy)(
    "crossEntropy and its gradient equal PyTorch's: $reduction, smoothing $labelSmoothing, z $zLoss",
    async ({ reduction, ignoreIndex, labelSmoothing, zLoss, targets, ...tensors }) => {
      const options = { ignoreIndex, labelSmoothing, zLoss, reduction: reductionOf(reduction) };
      await check(suite, goldenOf(tensors), (logits) =>
        crossEntropy(given(logits), unpack(given(logits).device, targets), options),
      );
    },
  );

  it.each(Object.entries(losses))("%s and its gradients equal PyTorch's", async (name, loss) => {
    const golden = Object.entries(goldens.losses).find(([key]) => key === name)?.[1];
    await check(suite, goldenOf(golden), (a, b) => loss(given(a), given(b)));
  });
}

async function check(
  suite: Suite,
  { inputs, gradients, out, dOut }: Golden,
  run: (...inputs: Tensor[]) => Tensor,
): Promise<void> {
  const wanted = new Map([["out", out], ...gradients.map((each, at) => [`d${at}`, each] as const)]);
  const read = await readAll(suite.device, 1, ({ device }) => gradientsOf(device));
  for (const [name, golden] of wanted) {
    expect(read.get(name)?.shape, name).toEqual(golden.shape);
    expect(read.get(name)?.values, name).toBeClose(floatsOf(golden), { rtol: 4e-6, atol: 4e-6 });
  }

  function gradientsOf(device: Device): Record<string, Tensor> {
    const wrt = inputs.map((packed) => unpack(device, packed));
    using tape = new Tape(device);
    for (const tensor of wrt) tape.watch(tensor);
    const result = tape.run(() => run(...wrt));
    const found = tape.gradients(result, wrt, unpack(device, dOut));
    return { out: result, ...Object.fromEntries(found.map((each, at) => [`d${at}`, each])) };
  }
}

/** The golden file holds `x` beside its gradient `dX`, for each input. */
function goldenOf(tensors: unknown): Golden {
  const packed = new Map(
    Object.entries(tensors ?? {}).filter((entry): entry is [string, Packed] => isPacked(entry[1])),
  );
  const names = [...packed.keys()].filter(
    (name) => packed.has(gradientName(name)) && name !== "out",
  );
  const of = (name: string): Packed => {
    const found = packed.get(name);
    if (found === undefined) throw new TypeError(`the golden has no ${name}`);
    return found;
  };
  return {
    inputs: names.map(of),
    gradients: names.map((name) => of(gradientName(name))),
    out: of("out"),
    dOut: of("dOut"),
  };
}

function gradientName(name: string): string {
  return `d${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

function isPacked(value: unknown): value is Packed {
  return typeof value === "object" && value !== null && "shape" in value;
}

function reductionOf(name: string): Reduction {
  if (name === "none" || name === "sum" || name === "mean") return name;
  throw new TypeError(`the golden has a reduction ${name}`);
}

function given(tensor: Tensor | undefined): Tensor {
  if (tensor === undefined) throw new TypeError("the golden has as many inputs as the function");
  return tensor;
}
