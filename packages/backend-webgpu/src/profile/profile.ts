import { DeviceError } from "@latentkit/core";
import type { Backend, Device } from "@latentkit/tensor";
import type { ProfiledBackend, TimedDispatch } from "./profiler.ts";

/** All dispatches of one kernel. */
export interface KernelTime {
  /** The kernel and the variant of it, such as `softmax:f32`. */
  readonly kernel: string;
  readonly calls: number;
  /** Seconds on the device's clock, of all calls together. */
  readonly seconds: number;
  /** Bytes of the memory that was bound, of all calls together: no kernel has to move more unless it reads something twice. */
  readonly bytes: number;
}

/** What {@link profileWebGpu} gives. */
export interface Profiled<T> {
  /** What the work gave. */
  readonly result: T;
  /** By time, the longest first. */
  readonly kernels: readonly KernelTime[];
  /** Seconds of all kernels together. The device waits in between, more so because each has a pass of its own while it is timed. */
  readonly deviceSeconds: number;
}

/**
 * Times every kernel that `work` issues on a WebGPU device, on the device's clock: to the nanosecond in Node, to about 0.1 ms in most
 * browsers, which round.
 *
 * Throws {@link DeviceError}: `NOT_WEBGPU` for a device of another backend, `WEBGPU_NO_TIMESTAMPS` where the adapter has no
 * `timestamp-query`, `PROFILE_RUNNING` inside of another profile of the device, `DEVICE_LOST`; and whatever `work` throws.
 */
export async function profileWebGpu<T>(
  device: Device,
  work: () => Promise<T> | T,
): Promise<Profiled<T>> {
  const { backend } = device;
  if (!isProfiled(backend))
    throw new DeviceError({
      code: "NOT_WEBGPU",
      message: `profileWebGpu got a device of the backend ${backend.info.name}, expected one of WebGPU`,
      fix: "open it by openWebGpuDevice",
    });
  const { profiler } = backend;
  await profiler.start();
  let result: T;
  try {
    result = await work();
  } catch (fault) {
    // What the work threw says more than what the clock may throw after it.
    await profiler.stop().catch(() => undefined);
    throw fault;
  }
  const kernels = byKernel(await profiler.stop());
  const deviceSeconds = kernels.reduce((sum, { seconds }) => sum + seconds, 0);
  return { result, kernels, deviceSeconds };
}

/** Sums by kernel, the longest first; kernels of equal times by name. */
export function byKernel(dispatches: readonly TimedDispatch[]): KernelTime[] {
  const sums = new Map<string, KernelTime>();
  for (const { name, seconds, bytes } of dispatches) {
    const known = sums.get(name) ?? { kernel: name, calls: 0, seconds: 0, bytes: 0 };
    sums.set(name, {
      kernel: name,
      calls: known.calls + 1,
      seconds: known.seconds + seconds,
      bytes: known.bytes + bytes,
    });
  }
  return [...sums.values()].sort((a, b) => b.seconds - a.seconds || (a.kernel < b.kernel ? -1 : 1));
}

function isProfiled(backend: Backend): backend is ProfiledBackend {
  return "profiler" in backend;
}
