import { formatShape, LatentkitError } from "@latentkit/core";
import type { Tensor } from "../tensor.ts";

/**
 * What operators that write into `x` call first. A tape notes values, not changes to them: gradients of what was computed from
 * `x` before and after the change would be those of one and the same value.
 *
 * Throws `LatentkitError` `AUTOGRAD_IN_PLACE` if the device's open tape tracks `x`.
 */
export function refuseInPlace(operator: string, x: Tensor): void {
  if (x.device.tape?.tracks(x) !== true) return;
  throw new LatentkitError({
    code: "AUTOGRAD_IN_PLACE",
    message: `${operator} changes a tensor of shape ${formatShape(x.shape)} in place, of which a gradient is being recorded`,
    fix: "use the operator that makes a new tensor, change it outside of grad, or pass stopGradient(x)",
  });
}
