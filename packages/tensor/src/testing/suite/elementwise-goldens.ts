import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Device } from "../../device.ts";
import { add, affine, div, maximum, minimum, mul, pow, sub } from "../../operators/arithmetic.ts";
import { all, any, argmax, argmin } from "../../operators/choose.ts";
import {
  equal,
  greater,
  greaterEqual,
  isFinite,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  notEqual,
  where,
} from "../../operators/compare.ts";
import { geluMul, geluTanhMul, siluMul } from "../../operators/gated.ts";
import {
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  type ReduceOptions,
  sum,
  sumOfSquares,
  variance,
} from "../../operators/reduce.ts";
import { clamp } from "../../operators/unary.ts";
import type { Tensor } from "../../tensor.ts";
// Made by oracles/tensor/elementwise.py and reduce.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/elementwise.json" with { type: "json" };
import reductions from "../goldens/reduce.json" with { type: "json" };
import { readAll, type Suite } from "./agree.ts";
import { unaries } from "./elementwise.ts";
import { floatsOf, type Packed, unpack } from "./packed.ts";

/** A function's inputs and output, and the gradients to the inputs from `dOut`. */
interface Golden {
  readonly inputs: readonly Packed[];
  readonly dOut: Packed;
  readonly out: Packed;
  readonly gradients: readonly Packed[];
}

type Run = (...inputs: Tensor[]) => Tensor;

const withNumbers: Readonly<Record<keyof typeof goldens.numbers, (x: Tensor) => Tensor>> = {
  affine: (x) => affine(x, { factor: -1.5, bias: 0.25 }),
  clamp: (x) => clamp(x, { low: -1, high: 1 }),
  clampLow: (x) => clamp(x, { low: 0 }),
  cube: (x) => pow(x, 3),
  fraction: (x) => div(2, x),
  inverse: (x) => pow(x, -1.5),
  maximum: (x) => maximum(x, 0.5),
  root: (x) => pow(x, 0.4),
};

const binaries: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  add,
  div,
  maximum,
  minimum,
  mul,
  sub,
};

const gated = { siluMul, geluMul, geluTanhMul } as const;

const comparisons: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  notEqual,
};

const reduce: Readonly<Record<string, (x: Tensor, options: ReduceOptions) => Tensor>> = {
  logSumExp,
  max,
  mean,
  min,
  norm,
  normOne: (x, options) => norm(x, { ...options, order: 1 }),
  prod,
  sum,
  sumOfSquares,
  variance,
  varianceBiased: (x, options) => variance(x, { ...options, correction: 0 }),
};

/** Elementwise operators, masks and reductions with their gradients against PyTorch. */
export function elementwiseGoldenSuite(suite: Suite): void {
  it.each(Object.entries(goldens.unary))(
    "%s and its gradient equal PyTorch's",
    async (name, golden) => {
      const found = unaries.find(([each]) => each === name);
      await check(suite, golden, found?.[1]);
    },
  );

  it.each(Object.entries(goldens.numbers))(
    "%s and its gradient equal PyTorch's",
    async (name, golden) => {
      await check(suite, golden, Object.entries(withNumbers).find(([each]) => each === name)?.[1]);
    },
  );

  it.each(goldens.binary)(
    "$operator of $inputs.0.shape and $inputs.1.shape equals PyTorch's, with its gradients",
    async ({ operator, ...golden }) => {
      await check(suite, golden, binaries[operator]);
    },
  );

  it.each(Object.entries(gated))("%s and its gradients equal PyTorch's", async (name, operator) => {
    const golden = Object.entries(goldens.gated).find(([each]) => each === name)?.[1];
    await check(suite, golden, operator);
  });

  it("where and its gradients equal PyTorch's", async () => {
    const { condition, ...golden } = goldens.where;
    await check(suite, golden, (a, b) =>
      where(unpack(given(a).device, condition), given(a), given(b)),
    );
  });

  it.each(Object.entries(goldens.masks.floats).filter(([name]) => name.length > 1))(
    "%s of floats equals PyTorch's",
    async (name, mask) => {
      await checkMask(suite, name, goldens.masks.floats, mask);
    },
  );
  it.each(Object.entries(goldens.masks.integers).filter(([name]) => name.length > 1))(
    "%s of integers equals PyTorch's",
    async (name, mask) => {
      await checkMask(suite, name, goldens.masks.integers, mask);
    },
  );
  it.each(Object.entries(goldens.masks.logical).filter(([name]) => name.length > 1))(
    "%s equals PyTorch's",
    async (name, mask) => {
      await checkMask(suite, name, goldens.masks.logical, mask);
    },
  );
  it("isFinite equals PyTorch's", async () => {
    const { x, out } = goldens.masks.isFinite;
    await same(suite, { isFinite: out }, (device) => ({ isFinite: isFinite(unpack(device, x)) }));
  });

  it.each(reductions.gradients)(
    "$operator over axes $axes, keepDims: $keepDims, and its gradient equal PyTorch's",
    async ({ operator, axes, keepDims, x, gradient, ...golden }) => {
      const run = reduce[operator];
      await check(
        suite,
        { ...golden, inputs: [x], gradients: [gradient] },
        run === undefined ? undefined : (input) => run(given(input), { axis: axes, keepDims }),
      );
    },
  );

  it.each(reductions.indices.cases)(
    "argmax and argmin along axis $axis equal PyTorch's",
    async ({ axis, ...wanted }) => {
      await same(suite, wanted, (device) => {
        const x = unpack(device, reductions.indices.x);
        return { argmax: argmax(x, { axis }), argmin: argmin(x, { axis }) };
      });
    },
  );

  it.each(reductions.masks.cases)(
    "any and all along axis $axis equal PyTorch's",
    async ({ axis, ...wanted }) => {
      await same(suite, wanted, (device) => {
        const x = unpack(device, reductions.masks.x);
        return { any: any(x, { axis }), all: all(x, { axis }) };
      });
    },
  );
}

async function check(
  suite: Suite,
  golden: Golden | undefined,
  run: Run | undefined,
): Promise<void> {
  if (golden === undefined || run === undefined)
    throw new TypeError("a golden without an operator");
  const { inputs, dOut, out, gradients } = golden;
  const wanted = new Map([["out", out], ...gradients.map((each, at) => [`d${at}`, each] as const)]);
  const read = await readAll(suite.device, 1, ({ device }) => {
    const wrt = inputs.map((packed) => unpack(device, packed));
    using tape = new Tape(device);
    for (const tensor of wrt) tape.watch(tensor);
    const result = tape.run(() => run(...wrt));
    const found = tape.gradients(result, wrt, unpack(device, dOut));
    return { out: result, ...Object.fromEntries(found.map((tensor, at) => [`d${at}`, tensor])) };
  });
  for (const [name, each] of wanted) {
    expect(read.get(name)?.shape, name).toEqual(each.shape);
    expect(read.get(name)?.values, name).toBeClose(floatsOf(each), { rtol: 3e-6, atol: 2e-6 });
  }
}

async function checkMask(
  suite: Suite,
  name: string,
  { a, b }: { readonly a: Packed; readonly b: Packed },
  mask: Packed,
): Promise<void> {
  const run = comparisons[name];
  if (run === undefined) throw new TypeError(`no operator ${name}`);
  await same(suite, { [name]: mask }, (device) => ({
    [name]: run(unpack(device, a), unpack(device, b)),
  }));
}

/** Integers and masks, exactly. */
async function same(
  suite: Suite,
  wanted: Readonly<Record<string, Packed>>,
  run: (device: Device) => Record<string, Tensor>,
): Promise<void> {
  const read = await readAll(suite.device, 1, ({ device }) => run(device));
  const expected = await readAll(suite.device, 1, ({ device }) =>
    Object.fromEntries(
      Object.entries(wanted).map(([name, packed]) => [name, unpack(device, packed)]),
    ),
  );
  expect(read).toEqual(expected);
}

function given(tensor: Tensor | undefined): Tensor {
  if (tensor === undefined) throw new TypeError("a golden has too few inputs");
  return tensor;
}
