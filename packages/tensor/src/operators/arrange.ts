import {
  broadcastShapes,
  checkShape,
  ConfigError,
  formatShape,
  sameShape,
  type Shape,
  ShapeError,
  stridesOf,
} from "@latentkit/core";
import { differentiable, differentiableOutputs } from "../autograd/differentiable.ts";
import { requireValue, resolveAxis, shapeError } from "../checks.ts";
import { broadcastStrides } from "../strides.ts";
import type { Tensor } from "../tensor.ts";
import { resolveAxes } from "./axes.ts";
import { sumTo } from "./broadcast.ts";
import { concat } from "./layout.ts";
import { readStrided, writeInto } from "./strided.ts";

/** One tensor of all along a new axis, which may be negative: -1 makes it the last one. Any dtype; equal shapes. */
export function stack(
  tensors: readonly Tensor[],
  options: { readonly axis?: number | undefined } = {},
): Tensor {
  const [first] = tensors;
  if (first === undefined) throw shapeError("stack", "no tensors", "give at least one");
  const axis = resolveAxis("stack", [...first.shape, 1], options.axis ?? 0);
  const different = tensors.find((tensor) => !sameShape(tensor.shape, first.shape));
  if (different !== undefined) {
    throw shapeError(
      "stack",
      `shapes ${formatShape(first.shape)} and ${formatShape(different.shape)}`,
      "make all shapes equal",
    );
  }
  const thick = first.shape.toSpliced(axis, 0, 1);
  return first.device.scope(() =>
    concat(
      tensors.map((tensor) => tensor.reshape(thick)),
      { axis },
    ),
  );
}

/**
 * The tensor in parts along an axis, each a copy: parts of `sizes` elements, the last one of what is left; or of the sizes in the
 * list, which add up to the axis. Any dtype. The gradient is the parts' gradients, put together.
 */
export function split(
  x: Tensor,
  sizes: number | readonly number[],
  options: { readonly axis?: number | undefined } = {},
): Tensor[] {
  const axis = resolveAxis("split", x.shape, options.axis ?? 0);
  const total = x.shape[axis] ?? 0;
  const parts = typeof sizes === "number" ? evenParts(total, sizes) : [...sizes];
  if (
    parts.some((size) => !Number.isInteger(size) || size < 0) ||
    parts.reduce((sum, size) => sum + size, 0) !== total
  ) {
    throw new ShapeError({
      code: "SHAPE_RANGE",
      message: `split got sizes ${formatShape(parts)} along axis ${axis} of shape ${formatShape(x.shape)}`,
      fix: `give sizes that add up to ${total}`,
    });
  }
  const strides = stridesOf(x.shape);
  return x.device.scope(() => {
    let start = 0;
    const outputs = parts.map((size) => {
      const out = readStrided(x, x.shape.with(axis, size), strides, start * (strides[axis] ?? 0));
      start += size;
      return out;
    });
    differentiableOutputs({
      operator: "split",
      inputs: [x],
      outputs,
      saved: [],
      rule: (gradients) => {
        const whole = x.device.zeros(x.shape);
        let offset = 0;
        for (const [index, size] of parts.entries()) {
          const gradient = gradients[index];
          if (gradient !== null && gradient !== undefined) writeInto(gradient, whole, offset);
          offset += size * (strides[axis] ?? 0);
        }
        return [whole];
      },
    });
    return outputs;
  });
}

/** Sizes of parts of `size` that make up `total`; one part of 0 where there is nothing to divide. */
function evenParts(total: number, size: number): number[] {
  requireValue(
    Number.isInteger(size) && size > 0,
    "split",
    "sizes",
    size,
    "an integer above 0, or a list",
  );
  const count = Math.max(1, Math.ceil(total / size));
  return Array.from({ length: count }, (_, index) => Math.min(size, total - index * size));
}

/**
 * A copy repeated to `shape` as broadcasting does it: axes of size 1 stretch, new axes come in front. Any dtype. The gradient is
 * summed over what was repeated. Operators that broadcast need no such copy.
 *
 * Throws `ShapeError` naming both shapes unless `x` broadcasts to `shape`.
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkShape(shape, "expand");
  if (
    shape.length < x.shape.length ||
    !sameShape(broadcastShapes(x.shape, shape, "expand"), shape)
  ) {
    throw shapeError(
      "expand",
      `x of shape ${formatShape(x.shape)}, which does not broadcast to ${formatShape(shape)}`,
      "give a shape whose last sizes are those of x, except where x has 1",
    );
  }
  return differentiable(readStrided(x, shape, broadcastStrides(x.shape, shape)), {
    operator: "expand",
    inputs: [x],
    rule: (gradient) => [sumTo(gradient, x.shape)],
  });
}

/**
 * Copies of the whole tensor side by side: along axis i `repeats[i]` of them, as `torch.Tensor.repeat` does it. With more repeats
 * than axes, new axes come in front. Any dtype. The gradient is summed over the copies.
 *
 * @example
 * repeat(device.tensor([1, 2], [2]), [2, 3]); // [[1, 2, 1, 2, 1, 2], [1, 2, 1, 2, 1, 2]]
 */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  if (
    repeats.length < x.shape.length ||
    repeats.some((count) => !Number.isInteger(count) || count < 0)
  ) {
    throw shapeError(
      "repeat",
      `repeats ${formatShape(repeats)} for x of shape ${formatShape(x.shape)}`,
      "give a number of copies, 0 or more, for each axis",
    );
  }
  const shape = [...new Array<number>(repeats.length - x.shape.length).fill(1), ...x.shape];
  return repeatAxes("repeat", x, {
    apart: shape.flatMap((size) => [1, size]),
    repeated: shape.flatMap((size, axis) => [repeats[axis] ?? 1, size]),
    shape: shape.map((size, axis) => size * (repeats[axis] ?? 1)),
  });
}

/**
 * Each element `count` times in a row along an axis, as `torch.repeat_interleave` does it: what key/value heads need that several
 * query heads share. Any dtype. The gradient is summed over the copies.
 */
export function repeatInterleave(
  x: Tensor,
  count: number,
  options: { readonly axis: number },
): Tensor {
  const axis = resolveAxis("repeatInterleave", x.shape, options.axis);
  requireValue(
    Number.isInteger(count) && count >= 0,
    "repeatInterleave",
    "count",
    count,
    "an integer of 0 or more",
  );
  return repeatAxes("repeatInterleave", x, {
    apart: x.shape.toSpliced(axis + 1, 0, 1),
    repeated: x.shape.toSpliced(axis + 1, 0, count),
    shape: x.shape.with(axis, (x.shape[axis] ?? 0) * count),
  });
}

/** Shapes of a repetition: `apart` has an axis of size 1 for each that becomes longer in `repeated`; `shape` is the result's. */
interface Repetition {
  readonly apart: Shape;
  readonly repeated: Shape;
  readonly shape: Shape;
}

function repeatAxes(operator: string, x: Tensor, { apart, repeated, shape }: Repetition): Tensor {
  checkShape(shape, operator);
  const out = x.device.scope(() =>
    readStrided(x, repeated, broadcastStrides(apart, repeated)).reshape(shape),
  );
  return differentiable(out, {
    operator,
    inputs: [x],
    rule: (gradient) => [sumTo(gradient.reshape(repeated), apart).reshape(x.shape)],
  });
}

/** A copy with the elements along the given axes in reverse order. Any dtype. */
export function flip(x: Tensor, axes: number | readonly number[]): Tensor {
  const flipped = resolveAxes("flip", x.shape, axes);
  const strides = stridesOf(x.shape);
  let start = 0;
  for (const axis of flipped) {
    const stride = strides[axis] ?? 0;
    start += stride * ((x.shape[axis] ?? 1) - 1);
    strides[axis] = -stride;
  }
  return differentiable(readStrided(x, x.shape, strides, start), {
    operator: "flip",
    inputs: [x],
    rule: (gradient) => [flip(gradient, flipped)],
  });
}

/**
 * A larger copy: along axis i `widths[i] = [before, after]` elements of `value` around `x`. Any dtype. The gradient is the middle
 * part of the gradient.
 */
export function pad(
  x: Tensor,
  widths: readonly (readonly [before: number, after: number])[],
  value = 0,
): Tensor {
  if (
    widths.length !== x.shape.length ||
    widths.flat().some((width) => !Number.isInteger(width) || width < 0)
  ) {
    throw shapeError(
      "pad",
      `widths [${widths.map(formatShape).join(", ")}] for x of shape ${formatShape(x.shape)}`,
      "give [before, after], both 0 or more, for each axis",
    );
  }
  requirePadding(x, value);
  const shape = x.shape.map((size, axis) => {
    const [before, after] = widths[axis] ?? [0, 0];
    return before + size + after;
  });
  const strides = stridesOf(shape);
  const offset = widths.reduce((sum, [before], axis) => sum + before * (strides[axis] ?? 0), 0);
  const input = x.slice;
  const out = x.device.empty(shape, x.dtype);
  // A tensor of the result's size is its elements in order: no border needs to be filled.
  if (out.size === x.size) {
    if (x.size > 0) x.device.backend.kernels.convert(input, out.slice);
  } else {
    x.device.backend.kernels.fill(out.slice, value);
    writeInto(x, out, offset);
  }
  return differentiable(out, {
    operator: "pad",
    inputs: [x],
    rule: (gradient) => [readStrided(gradient, x.shape, strides, offset)],
  });
}

/** Integers have no fractions, and u8 nothing outside of 0 .. 255. */
function requirePadding(x: Tensor, value: number): void {
  if (x.dtype !== "i32" && x.dtype !== "u8") return;
  const [low, high] = x.dtype === "u8" ? [0, 255] : [-(2 ** 31), 2 ** 31 - 1];
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new ConfigError({
    code: "VALUE_RANGE",
    message: `pad got value = ${value} for x of dtype ${x.dtype} and shape ${formatShape(x.shape)}, expected an integer from ${low} to ${high}`,
    fix: "give a value that the dtype holds",
  });
}
