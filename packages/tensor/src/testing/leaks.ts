import { DeviceError } from "@latentkit/core";
import type { Device } from "../device.ts";

/**
 * Throws {@link DeviceError} `TENSORS_LEAKED` unless the device has exactly `baseline` live bytes, 0 by default.
 *
 * @param baseline `device.memory().liveBytes` before the code under test
 */
export function expectNoLeaks(device: Device, baseline = 0): void {
  const { liveBytes } = device.memory();
  if (liveBytes === baseline) return;
  throw new DeviceError({
    code: "TENSORS_LEAKED",
    message: `${liveBytes} bytes are live on device ${device.info.name}, expected ${baseline}`,
    fix:
      liveBytes > baseline
        ? "dispose what was made, or make it inside Device.scope"
        : "something was freed that was in use before",
  });
}
