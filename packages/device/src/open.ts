import { ConfigError, LatentkitError } from "@latentkit/core";
import type { OpenCpuDeviceOptions } from "@latentkit/backend-cpu";
import type { OpenWebGpuDeviceOptions } from "@latentkit/backend-webgpu";
import type { Device } from "@latentkit/tensor";

/** What {@link openDevice} may be asked for. */
export type DeviceChoice = "auto" | "cpu" | "webgpu";

/** Options of {@link openDevice}. */
export interface OpenDeviceOptions {
  /** Whether `"auto"` may take WebGPU in software (llvmpipe, SwiftShader), which is slower than WebAssembly; false by default. */
  readonly software?: boolean | undefined;
  /** For the device on WebGPU, if it comes to that. */
  readonly webgpu?: OpenWebGpuDeviceOptions | undefined;
  /** For the device on the CPU, if it comes to that. */
  readonly cpu?: OpenCpuDeviceOptions | undefined;
}

/** A kind of device that was looked at and not taken. */
export interface DeclinedDevice {
  readonly kind: "webgpu";
  /** The error's code, or `SOFTWARE_ADAPTER`. */
  readonly code: string;
  readonly why: string;
}

/** Which device was opened, and why. */
export interface DeviceReport {
  readonly asked: DeviceChoice;
  readonly chosen: "cpu" | "webgpu";
  readonly why: string;
  readonly declined: readonly DeclinedDevice[];
}

/** A device, which the caller disposes, and how it was chosen. */
export interface OpenedDevice {
  readonly device: Device;
  readonly report: DeviceReport;
}

/**
 * Opens a device: `"auto"` takes WebGPU on a GPU, else WebAssembly on the CPU; `"webgpu"` and `"cpu"` take that and nothing else.
 *
 * Throws `ConfigError` `DEVICE_UNKNOWN` for another name, and what the backend throws when a device asked for by name, or the CPU's
 * with `"auto"`, cannot be opened.
 */
export async function openDevice(
  asked: DeviceChoice = "auto",
  options: OpenDeviceOptions = {},
): Promise<OpenedDevice> {
  if (asked === "cpu") return onCpu(asked, "it was asked for", [], options);
  if (asked === "webgpu") {
    const { openWebGpuDevice } = await import("@latentkit/backend-webgpu");
    return onWebGpu(await openWebGpuDevice(options.webgpu), asked, "it was asked for");
  }
  if (asked !== "auto")
    throw new ConfigError({
      code: "DEVICE_UNKNOWN",
      message: `openDevice got ${JSON.stringify(asked)}, expected "auto", "webgpu" or "cpu"`,
      fix: 'give one of these names, or none for "auto"',
    });
  try {
    const { findWebGpuAdapter } = await import("@latentkit/backend-webgpu");
    const found = await findWebGpuAdapter(options.webgpu?.power);
    const { adapter, software } = found.description;
    if (!software || options.software === true)
      return onWebGpu(await found.open(options.webgpu), asked, `WebGPU has the adapter ${adapter}`);
    const why = `the adapter ${adapter} is software, which is slower than WebAssembly`;
    return await onCpu(asked, why, [{ kind: "webgpu", code: "SOFTWARE_ADAPTER", why }], options);
  } catch (fault) {
    if (!LatentkitError.isInstance(fault) || !UNAVAILABLE.has(fault.code)) throw fault;
    const declined = { kind: "webgpu", code: fault.code, why: fault.message } as const;
    return onCpu(asked, fault.message, [declined], options);
  }
}

/** Codes that say that there is no WebGPU here; any other error is a fault to report. */
const UNAVAILABLE: ReadonlySet<string> = new Set([
  "WEBGPU_UNAVAILABLE",
  "WEBGPU_NO_ADAPTER",
  "WEBGPU_REFUSED",
]);

async function onCpu(
  asked: DeviceChoice,
  why: string,
  declined: readonly DeclinedDevice[],
  { cpu }: OpenDeviceOptions,
): Promise<OpenedDevice> {
  const { openCpuDevice } = await import("@latentkit/backend-cpu");
  return { device: await openCpuDevice(cpu), report: { asked, chosen: "cpu", why, declined } };
}

function onWebGpu(device: Device, asked: DeviceChoice, why: string): OpenedDevice {
  return { device, report: { asked, chosen: "webgpu", why, declined: [] } };
}
