import { DeviceError, formatShape, sizeOf } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import { floats, shapeError } from "../checks.ts";
import type { StoredWeight } from "../stored-weight.ts";
import type { Tensor } from "../tensor.ts";
import { type Indices, withIndices } from "./indices.ts";
import { sum } from "./reduce.ts";

/**
 * `x @ W^T + bias` for a weight W `[out, in]` as it is stored: x f32 [..., in], bias f32 [out] or null, result f32 [..., out]. What
 * `linear` does with a {@link StoredWeight}.
 *
 * Gradients: `dx = g W`, read from the stored bytes without an f32 copy of W, and `dbias` the sum of g's rows; none to W.
 *
 * Throws `ShapeError` naming both shapes where they do not fit, `DTypeError` unless x and bias are f32, `DeviceError` for two
 * devices or a weight that was disposed.
 */
export function linearStored(x: Tensor, weight: StoredWeight, bias: Tensor | null = null): Tensor {
  const input = floats("linear", x);
  const offsets = bias === null ? null : floats("linear", bias, "bias");
  const { matrix } = weight;
  onDevice("linear", x, weight);
  const [outSize, inSize] = weight.shape;
  if (x.shape.length === 0 || x.shape[x.shape.length - 1] !== inSize)
    throw shapeError(
      "linear",
      `x of shape ${formatShape(x.shape)} and weight of shape ${formatShape(weight.shape)}`,
      "give x [..., in] and weight [out, in]",
    );
  if (bias !== null) {
    onDevice("linear", bias, weight);
    if (bias.shape.length !== 1 || bias.size !== outSize)
      throw shapeError(
        "linear",
        `weight of shape ${formatShape(weight.shape)} and bias of shape ${formatShape(bias.shape)}`,
        "give a bias [out]",
      );
  }
  const leading = x.shape.slice(0, -1);
  const out = x.device.empty([...leading, outSize]);
  if (out.size > 0)
    x.device.backend.kernels.linearStored(input, sizeOf(leading), matrix, offsets, out.slice);
  return differentiable(out, {
    operator: "linear",
    inputs: bias === null ? [x] : [x, bias],
    rule: (gradient, { needs }) => [
      needs[0] === true ? inputGradient(gradient, weight) : null,
      needs[1] === true ? sum(gradient.reshape([sizeOf(leading), outSize]), { axis: 0 }) : null,
    ],
  });
}

/** `g W`: from the gradient to the output [..., out] to the one to x [..., in]. Itself linear in g, with {@link linearStored} back. */
function inputGradient(gradient: Tensor, weight: StoredWeight): Tensor {
  const { matrix } = weight;
  const leading = gradient.shape.slice(0, -1);
  const dx = gradient.device.empty([...leading, matrix.columns]);
  if (dx.size > 0)
    gradient.device.backend.kernels.linearStoredInputGradient(
      floats("linear", gradient, "gradient"),
      sizeOf(leading),
      matrix,
      dx.slice,
    );
  return differentiable(dx, {
    operator: "linearStoredInputGradient",
    inputs: [gradient],
    rule: (outer) => [linearStored(outer, weight)],
  });
}

/**
 * Rows of a stored weight by id, as f32: ids i32 of any shape (or numbers on the host, which are checked), result
 * [...ids.shape, columns]. What `embedding` does with a {@link StoredWeight}. An id without a row gives NaN. There is no gradient.
 */
export function embeddingStored(table: StoredWeight, ids: Indices): Tensor {
  const { matrix, device } = table;
  return withIndices("embedding", device, ids, matrix.rows, (picks) => {
    onDevice("embedding", picks, table);
    if (matrix.rows === 0 && picks.size > 0)
      throw shapeError(
        "embedding",
        `table of shape ${formatShape(table.shape)} and ids of shape ${formatShape(picks.shape)}`,
        "give a table with rows",
      );
    const out = device.empty([...picks.shape, matrix.columns]);
    if (out.size > 0)
      device.backend.kernels.embeddingStored(matrix, picks.slice, picks.size, out.slice);
    return out;
  });
}

function onDevice(operator: string, x: Tensor, weight: StoredWeight): void {
  if (x.device === weight.device) return;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: `${operator} got a tensor of shape ${formatShape(x.shape)} and a stored weight of shape ${formatShape(weight.shape)} on two devices (${x.device.info.name}, ${weight.device.info.name})`,
    fix: "read one of them and make it again on the other's device",
  });
}
