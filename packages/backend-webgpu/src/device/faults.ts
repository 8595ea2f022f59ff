/// <reference types="@webgpu/types" />
import { DeviceError } from "@latentkit/core";

/**
 * What went wrong on the device since it was opened. WebGPU tells of errors later than of the call that made them: the first one is
 * kept, and thrown by the next call that issues or reads.
 */
export class Faults {
  readonly #device: GPUDevice;
  #fault: DeviceError | null = null;
  #closed = false;
  readonly #onEnd: () => void;

  /** `onEnd` is called with the first fault and when the device is closed: nothing that waits may be computed any more. */
  constructor(device: GPUDevice, onEnd: () => void) {
    this.#device = device;
    this.#onEnd = onEnd;
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#keep(
        new DeviceError({
          code: "WEBGPU_FAULT",
          message: `the WebGPU device refused a command: ${event.error.message}`,
          fix: "this is a fault in Latentkit or the driver: report it with the adapter's name",
        }),
      );
    });
    void this.#watch(device);
  }

  async #watch(device: GPUDevice): Promise<void> {
    const { reason, message } = await device.lost;
    if (this.#closed) return;
    this.#fault = new DeviceError({
      code: "DEVICE_LOST",
      message: `the WebGPU device was lost (${reason}): ${message}`,
      fix: "open a new device and resume from the last checkpoint",
    });
    this.#onEnd();
  }

  /** Throws the {@link DeviceError} that was kept, if any: `DEVICE_LOST`, `DEVICE_OUT_OF_MEMORY` or `WEBGPU_FAULT`. */
  check(): void {
    if (this.#closed)
      throw new DeviceError({
        code: "DEVICE_DISPOSED",
        message: "a kernel was issued on a disposed WebGPU device",
        fix: "open a new device",
      });
    if (this.#fault !== null) throw this.#fault;
  }

  /** A buffer had no memory: nothing computed since then can be trusted. */
  exhausted(byteLength: number): void {
    this.#keep(
      new DeviceError({
        code: "DEVICE_OUT_OF_MEMORY",
        message: `the WebGPU device has no memory for a buffer of ${byteLength} bytes; what was computed since is lost`,
        fix: "open a new device and work in smaller batches, or give openWebGpuDevice a memoryLimit",
      }),
    );
  }

  /** A program that was compiled in the background was refused, unless it is the device's loss that ended the compiling. */
  async refused(program: string, cause: unknown): Promise<void> {
    const nothing = Symbol("not lost");
    const turn = new Promise((resolve) => setTimeout(() => resolve(nothing), 0));
    if ((await Promise.race([this.#device.lost, turn])) !== nothing) return;
    this.#keep(
      new DeviceError({
        code: "WEBGPU_FAULT",
        message: `the WebGPU device refused the program ${program}: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: "this is a fault in Latentkit or the driver: report it with the adapter's name",
        cause,
      }),
    );
  }

  /** From now on nothing is kept: the device is being destroyed on purpose. */
  close(): void {
    this.#closed = true;
    this.#onEnd();
  }

  #keep(fault: DeviceError): void {
    if (this.#closed) return;
    this.#fault ??= fault;
    this.#onEnd();
  }
}
