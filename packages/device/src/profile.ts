import type { Profiled } from "@latentkit/backend-webgpu";
import type { Device } from "@latentkit/tensor";

/**
 * Times every kernel that `work` issues, on the device's clock: seconds, calls and bytes by kernel, the longest first. It is
 * `profileWebGpu` for who does not know yet which backend the device has: the backend is loaded when it is needed.
 *
 * Throws `DeviceError`: `NOT_WEBGPU` for a device of another backend, `WEBGPU_NO_TIMESTAMPS` where the adapter has no `timestamp-query`,
 * `PROFILE_RUNNING` inside of another profile of the device, `DEVICE_LOST`; and whatever `work` throws.
 */
export async function profileDevice<T>(
  device: Device,
  work: () => Promise<T> | T,
): Promise<Profiled<T>> {
  const { profileWebGpu } = await import("@latentkit/backend-webgpu");
  return profileWebGpu(device, work);
}
