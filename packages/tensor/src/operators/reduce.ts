import { formatShape, sizeOf } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import type { ReduceOperator } from "../backend.ts";
import { floats, requireValue, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { affine, div, mul, sub } from "./arithmetic.ts";
import { droppedShape, keptShape, reducedBlocks, resolveAxes } from "./axes.ts";
import { expandTo } from "./broadcast.ts";
import { equal, where } from "./compare.ts";
import { permute } from "./layout.ts";
import { clamp, exp, sign } from "./unary.ts";

/** Which axes a reduction runs over. */
export interface ReduceOptions {
  /**
   * One axis or several, in any order; negative ones count from the end. Without it the whole tensor is reduced to a scalar of
   * shape [].
   */
  readonly axis?: number | readonly number[] | undefined;
  /** Whether the reduced axes stay, with size 1. */
  readonly keepDims?: boolean | undefined;
}

/** Options of {@link variance}. */
export interface VarianceOptions extends ReduceOptions {
  /** What is subtracted from the number of elements: 1 (the default) for an unbiased estimate, 0 for the mean square deviation. */
  readonly correction?: number | undefined;
}

/** Options of {@link norm}. */
export interface NormOptions extends ReduceOptions {
  /** 2 (the default) for the Euclidean norm, 1 for the sum of magnitudes. */
  readonly order?: 1 | 2 | undefined;
}

/** Sum; 0 over no elements. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("sum", x, options, {
    empty: 0,
    saves: [],
    rule: ({ gradient, shape }) => expandTo(gradient, shape),
  });
}

/** Arithmetic mean; NaN over no elements. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("mean", x, options, {
    empty: Number.NaN,
    saves: [],
    rule: ({ gradient, shape, count }) => expandTo(gradient, shape, 1 / count),
  });
}

/**
 * Largest element, NaN if there is a NaN. Equal largest elements share the gradient evenly.
 * Throws `ShapeError` over axes without elements.
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("max", x, options, { empty: null, saves: ["x", "out"], rule: shareAmongTies });
}

/**
 * Smallest element, NaN if there is a NaN. Equal smallest elements share the gradient evenly.
 * Throws `ShapeError` over axes without elements.
 */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("min", x, options, { empty: null, saves: ["x", "out"], rule: shareAmongTies });
}

/** Sum of the squares; 0 over no elements. */
export function sumOfSquares(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("sumOfSquares", x, options, {
    empty: 0,
    saves: ["x"],
    rule: ({ gradient, x: input }) => mul(input, affine(gradient, { factor: 2, bias: 0 })),
  });
}

/** `log(sum(e^x))` with the largest element subtracted first; -infinity over no elements. Its gradient is softmax(x). */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("logSumExp", x, options, {
    empty: Number.NEGATIVE_INFINITY,
    saves: ["x", "out"],
    // A finite offset: only -infinity has weights of 0, and not NaN.
    rule: ({ gradient, x: input, out }) =>
      mul(exp(sub(input, clamp(out, { low: -largestFloat, high: largestFloat }))), gradient),
  });
}

const largestFloat = (2 - 2 ** -23) * 2 ** 127;

/**
 * L2 norm `sqrt(sum(x^2))`, or with `order: 1` the L1 norm `sum(|x|)`; 0 over no elements. Where the norm is 0 its gradient is 0.
 */
export function norm(x: Tensor, { order = 2, ...options }: NormOptions = {}): Tensor {
  if (order === 1) {
    return reduce("sumOfMagnitudes", x, options, {
      empty: 0,
      saves: ["x"],
      rule: ({ gradient, x: input }) => mul(sign(input), gradient),
    });
  }
  return reduce("norm", x, options, {
    empty: 0,
    saves: ["x", "out"],
    rule: ({ gradient, x: input, out }) => mul(input, where(equal(out, 0), 0, div(gradient, out))),
  });
}

/** Product; 1 over no elements. The gradient is right where there are zeros, too. */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  const input = floats("prod", x);
  const axes = resolveAxes("prod", x.shape, options.axis);
  const [block, another] = reducedBlocks(x.shape, axes);
  if (another !== undefined) return overLastAxis(x, axes, options, prod);
  return reduce("product", x, options, {
    empty: 1,
    saves: ["x"],
    rule: ({ gradient, x: given }) => {
      const dx = given.device.empty(given.shape);
      const { outer, size, inner } = block ?? { outer: 1, size: input.length, inner: 1 };
      dx.device.backend.kernels.productGradient(
        given.slice,
        gradient.slice,
        outer,
        size,
        inner,
        dx.slice,
      );
      return dx;
    },
  });
}

/**
 * `sum((x - mean)^2) / (n - correction)`, the unbiased variance by default. NaN where that is 0 / 0, infinity for other
 * numbers over 0.
 */
export function variance(x: Tensor, { correction = 1, ...options }: VarianceOptions = {}): Tensor {
  const input = floats("variance", x);
  requireValue(
    Number.isFinite(correction) && correction >= 0,
    "variance",
    "correction",
    correction,
    "a number of at least 0",
  );
  const axes = resolveAxes("variance", x.shape, options.axis);
  const [block, another] = reducedBlocks(x.shape, axes);
  if (another !== undefined)
    return overLastAxis(x, axes, options, (rows, last) => variance(rows, { ...last, correction }));
  const shape = (options.keepDims === true ? keptShape : droppedShape)(x.shape, axes);
  const count = sizeOf(axes.map((axis) => x.shape[axis] ?? 1));
  if (count === 0) return x.device.full(shape, Number.NaN);
  const out = x.device.empty(shape);
  if (out.size > 0 && block !== undefined)
    x.device.backend.kernels.variance(
      input,
      block.outer,
      block.size,
      block.inner,
      correction,
      out.slice,
    );
  return differentiable(out, {
    operator: "variance",
    inputs: [x],
    saved: [x],
    rule: (gradient, { saved: [given = x] }) => {
      const factor = 2 / Math.max(count - correction, 0);
      const deviation = sub(given, mean(given, { axis: axes, keepDims: true }));
      const kept = gradient.reshape(keptShape(given.shape, axes));
      return [mul(deviation, affine(kept, { factor, bias: 0 }))];
    },
  });
}

/** What the gradient of a reduction is made of. */
interface ReductionGradient {
  /** The gradient to the output, and the output, with reduced axes of size 1. */
  readonly gradient: Tensor;
  readonly out: Tensor;
  readonly x: Tensor;
  readonly shape: readonly number[];
  readonly axes: readonly number[];
  /** Elements that are reduced to one. */
  readonly count: number;
}

interface Reduction {
  /** The result over no elements; null where there is none. */
  readonly empty: number | null;
  readonly saves: readonly ("x" | "out")[];
  readonly rule: (parts: ReductionGradient) => Tensor;
}

function shareAmongTies({ gradient, x, out, axes }: ReductionGradient): Tensor {
  const best = equal(x, out);
  const ties = sum(where(best, 1, 0), { axis: axes, keepDims: true });
  return where(best, div(gradient, ties), 0);
}

/** What several runs of axes take after the first: the reduction of reductions. */
const followUps: Readonly<Partial<Record<ReduceOperator, ReduceOperator>>> = {
  sumOfMagnitudes: "sum",
  sumOfSquares: "sum",
};

function reduce(
  name: ReduceOperator | "norm",
  x: Tensor,
  { axis, keepDims = false }: ReduceOptions,
  { empty, saves, rule }: Reduction,
): Tensor {
  floats(name, x);
  const axes = resolveAxes(name, x.shape, axis);
  const kept = keptShape(x.shape, axes);
  const shape = keepDims ? kept : droppedShape(x.shape, axes);
  const count = sizeOf(axes.map((each) => x.shape[each] ?? 1));
  if (count === 0) {
    if (empty !== null) return x.device.full(shape, empty);
    throw shapeError(
      name,
      `x of shape ${formatShape(x.shape)}, which has no elements to choose from`,
      "leave out empty tensors",
    );
  }
  const out = x.size === 0 ? x.device.empty(shape) : compute(name, x, axes, shape);
  return differentiable(out, {
    operator: name,
    inputs: [x],
    saved: saves.map((part) => (part === "x" ? x : out)),
    rule: (gradient, { saved }) => {
      if (x.size === 0) return [x.device.zeros(x.shape)];
      return [
        rule({
          gradient: gradient.reshape(kept),
          x: saved[saves.indexOf("x")] ?? x,
          out: (saved[saves.indexOf("out")] ?? gradient).reshape(kept),
          shape: x.shape,
          axes,
          count,
        }),
      ];
    },
  });
}

/** Runs the kernel once for each run of neighbouring axes. */
function compute(
  name: ReduceOperator | "norm",
  x: Tensor,
  axes: readonly number[],
  shape: readonly number[],
): Tensor {
  const { device } = x;
  const { kernels } = device.backend;
  let operator: ReduceOperator = name === "norm" ? "sumOfSquares" : name;
  const blocks = reducedBlocks(x.shape, axes);
  let source = x;
  for (const [index, { outer, size, inner }] of blocks.entries()) {
    const next = device.empty(index === blocks.length - 1 ? shape : [outer, inner]);
    kernels.reduce(operator, source.slice, outer, size, inner, next.slice);
    operator = followUps[operator] ?? operator;
    if (source !== x) source.dispose();
    source = next;
  }
  if (name === "norm") kernels.unary("sqrt", source.slice, source.slice);
  return source;
}

/** Moves the axes to the end, makes one of them, and reduces that. */
function overLastAxis(
  x: Tensor,
  axes: readonly number[],
  { keepDims = false }: ReduceOptions,
  run: (rows: Tensor, options: { readonly axis: number }) => Tensor,
): Tensor {
  return x.device.scope(() => {
    const others = [...x.shape.keys()].filter((axis) => !axes.includes(axis));
    const moved = permute(x, [...others, ...axes]);
    const rows = moved.reshape([
      ...moved.shape.slice(0, others.length),
      sizeOf(moved.shape.slice(others.length)),
    ]);
    const reduced = run(rows, { axis: -1 });
    return keepDims ? reduced.reshape(keptShape(x.shape, axes)) : reduced;
  });
}
