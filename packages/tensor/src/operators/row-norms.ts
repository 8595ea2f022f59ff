import { refuseInPlace } from "../autograd/in-place.ts";
import { asRows, floats, requireValue } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Scales rows (last axis) whose L2 norm is above `maximum` down to it, in place: `x *= min(1, maximum / |x|)`. The constraint
 * "norm at most 1" on an SAE's decoder; `normalizeRows` is the one of "norm 1".
 */
export function clipRowNorms(x: Tensor, maximum = 1): void {
  const target = floats("clipRowNorms", x);
  refuseInPlace("clipRowNorms", x);
  const { rows, columns } = asRows("clipRowNorms", x);
  const positive = maximum > 0 && Number.isFinite(maximum);
  requireValue(positive, "clipRowNorms", "maximum", maximum, "a number above 0");
  if (x.size > 0) x.device.backend.kernels.clipRowNorms(target, rows, columns, maximum);
}
