import { deviceOf, tensorsOf } from "../autograd/nest.ts";
import { noGrad } from "../autograd/stop.ts";
import { requireValue } from "../checks.ts";
import { add, div, minimum, sub } from "../operators/arithmetic.ts";
import { concat } from "../operators/layout.ts";
import { sum, sumOfSquares } from "../operators/reduce.ts";
import { sqrt } from "../operators/unary.ts";
import type { Tensor } from "../tensor.ts";

/** What {@link clipByGlobalNorm} gives: two tensors of shape [], on the device and the caller's to dispose. */
export interface ClippedNorm {
  /** L2 norm of all gradients together, before clipping. */
  readonly norm: Tensor;
  /** What to multiply the gradients by: the `gradientScale` of an optimiser's step. NaN where the norm is not finite. */
  readonly scale: Tensor;
}

/** L2 norm of all tensors of a nest together, of shape []. It stays on the device. */
export function globalNorm(gradients: unknown): Tensor {
  const named = tensorsOf(gradients, "gradients");
  const device = deviceOf(named, "gradients");
  return noGrad(device, () =>
    device.scope(() => {
      const squares = named.map(({ tensor }) => sumOfSquares(tensor).reshape([1]));
      return sqrt(sum(concat(squares, { axis: 0 })));
    }),
  );
}

/**
 * The scale that makes the gradients' global norm at most `maxNorm`: `min(1, maxNorm / (norm + 1e-6))`, as PyTorch's
 * `clip_grad_norm_`. The gradients stay as they are; the optimiser multiplies by the scale as it reads them, and nothing waits for
 * the device.
 *
 * A norm that is not finite gives a scale of NaN, with which an optimiser leaves its update out: parameters and state stay as they
 * were before the bad batch, and `findNonFinite` can look for the cause.
 *
 * @example
 * const { norm, scale } = clipByGlobalNorm(gradients, 1);
 * optimiser.step(gradients, { gradientScale: scale });
 */
export function clipByGlobalNorm(gradients: unknown, maxNorm: number): ClippedNorm {
  requireValue(maxNorm > 0, "clipByGlobalNorm", "maxNorm", maxNorm, "a number above 0");
  const device = deviceOf(tensorsOf(gradients, "gradients"), "gradients");
  return noGrad(device, () =>
    device.scope(() => {
      const norm = globalNorm(gradients);
      // norm - norm is 0, or NaN where the norm is infinite.
      const scale = add(minimum(1, div(maxNorm, add(norm, 1e-6))), sub(norm, norm));
      return { norm, scale };
    }),
  );
}
