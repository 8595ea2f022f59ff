import type { Device } from "../device.ts";
import type { Tensor } from "../tensor.ts";

/** The same elements as a constant: no gradient goes back beyond it. A view, disposed on its own. Any dtype. */
export function stopGradient(x: Tensor): Tensor {
  return x.alias();
}

/** Runs `run` without recording: what it makes counts as constant. */
export function noGrad<T>(device: Device, run: () => T): T {
  return device.withTape(null, run);
}
