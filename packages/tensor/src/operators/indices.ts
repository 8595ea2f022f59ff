import { formatShape, type Shape, ShapeError } from "@latentkit/core";
import { integers, requireValue } from "../checks.ts";
import type { Device } from "../device.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Indices for an operator: an i32 tensor, or numbers on the host. Numbers are checked before they are copied to the device; a
 * tensor's are not read back, see {@link checkIndices}.
 */
export type Indices = Tensor | Int32Array | readonly number[];

/** What {@link indexTensor} checks. */
export interface IndexTensorOptions {
  /** All indices lie in 0 .. bound - 1. */
  readonly bound: number;
  /** One axis unless given. */
  readonly shape?: Shape | undefined;
}

/**
 * An i32 tensor of indices that were checked on the host.
 *
 * Throws `ShapeError` `INDEX_RANGE` that names the first index outside of 0 .. bound - 1.
 */
export function indexTensor(
  device: Device,
  values: Int32Array | readonly number[],
  { bound, shape = [values.length] }: IndexTensorOptions,
): Tensor {
  requireBound("indexTensor", bound);
  const wrong = values.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= bound);
  if (wrong >= 0) throw indexError(values[wrong] ?? Number.NaN, wrong, [values.length], bound);
  return device.tensor(Int32Array.from(values), shape);
}

/**
 * Looks on the device whether all ids lie in 0 .. bound - 1, and waits for the answer: for debugging, since operators do not read
 * the indices that they are given as tensors. An index outside of its axis reads NaN (0 of integers) and adds nothing.
 *
 * Throws `ShapeError` `INDEX_RANGE` that names the first one outside and where it stands.
 */
export async function checkIndices(ids: Tensor, bound: number): Promise<void> {
  const input = integers("checkIndices", ids, "ids");
  requireBound("checkIndices", bound);
  if (ids.size === 0) return;
  const { shape, device } = ids;
  using found = device.keep(device.empty([2], "i32"));
  device.backend.kernels.firstOutside(input, bound, found.slice);
  const [at = -1, id = 0] = await found.integers();
  if (at >= 0) throw indexError(id, at, shape, bound);
}

/** Runs with the indices as a tensor; those of the host are freed again afterwards. @internal */
export function withIndices(
  operator: string,
  device: Device,
  ids: Indices,
  bound: number,
  use: (ids: Tensor) => Tensor,
): Tensor {
  if (!(ids instanceof Int32Array || Array.isArray(ids))) {
    // Not an array, so a tensor: Array.isArray does not narrow readonly arrays.
    const tensor = ids as Tensor;
    integers(operator, tensor, "ids");
    return use(tensor);
  }
  const made = indexTensor(device, ids, { bound });
  try {
    return use(made);
  } finally {
    made.dispose();
  }
}

function requireBound(operator: string, bound: number): void {
  requireValue(
    Number.isInteger(bound) && bound >= 0 && bound <= 2 ** 31,
    operator,
    "bound",
    bound,
    "an integer from 0 to 2^31",
  );
}

function indexError(id: number, at: number, shape: Shape, bound: number): ShapeError {
  const place = coordinates(at, shape);
  return new ShapeError({
    code: "INDEX_RANGE",
    message: `index ${id} at ${formatShape(place)} of indices of shape ${formatShape(shape)} does not lie in 0 .. ${bound - 1}`,
    fix: "give indices of elements that exist",
  });
}

function coordinates(at: number, shape: Shape): number[] {
  let rest = at;
  return shape
    .map((_, axis) => {
      const size = shape[shape.length - 1 - axis] ?? 1;
      const index = rest % size;
      rest = Math.floor(rest / size);
      return index;
    })
    .toReversed();
}
