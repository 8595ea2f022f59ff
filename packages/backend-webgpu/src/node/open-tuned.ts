import type { Device } from "@latentkit/tensor";
import { openWebGpuDevice, type OpenWebGpuDeviceOptions } from "../open.ts";
import { isTuned, tuneMatmul, type TuneOptions, type TuneShape } from "../tuner/tune.ts";
import { readTunedPlans, tunedPlansPath, writeTunedPlans } from "./plan-file.ts";

/** Options of {@link openTunedWebGpuDevice}. */
export interface OpenTunedWebGpuDeviceOptions
  extends Omit<OpenWebGpuDeviceOptions, "plans">, Omit<TuneOptions, "store"> {
  /** Where plans are kept; {@link tunedPlansPath} by default. */
  readonly path?: string | undefined;
}

/**
 * Opens a WebGPU device with the plans that were measured before on this machine, and measures those of `shapes` that are not among them,
 * for this device and the next. The first time takes seconds for each shape on a GPU, and later ones nothing. The caller disposes it.
 *
 * Throws what {@link openWebGpuDevice} and {@link tuneMatmul} throw, and `AbortError` once the signal fires, after which no device is left.
 */
export async function openTunedWebGpuDevice(
  shapes: readonly TuneShape[],
  options: OpenTunedWebGpuDeviceOptions = {},
): Promise<Device> {
  const { path = tunedPlansPath(), secondsEach, signal, onProgress, ...rest } = options;
  signal?.throwIfAborted();
  const device = await openWebGpuDevice({ ...rest, plans: await readTunedPlans(path) });
  try {
    const missing = shapes.filter((shape) => !isTuned(device, shape));
    if (missing.length === 0) return device;
    const measured = await tuneMatmul(device, missing, { secondsEach, signal, onProgress });
    await writeTunedPlans(measured, path);
    return device;
  } catch (fault) {
    device.dispose();
    throw fault;
  }
}
