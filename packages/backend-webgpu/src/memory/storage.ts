/// <reference types="@webgpu/types" />
import { DeviceError } from "@latentkit/core";
import type { Storage } from "@latentkit/tensor";

/** A buffer of the device, lent by the {@link BufferPool}; larger than `byteLength` where the pool rounds up. */
export class WebGpuStorage implements Storage {
  readonly byteLength: number;
  #buffer: GPUBuffer | null;

  constructor(buffer: GPUBuffer, byteLength: number) {
    this.#buffer = buffer;
    this.byteLength = byteLength;
  }

  /** Throws {@link DeviceError} `STORAGE_FREED` after the storage was freed. */
  get buffer(): GPUBuffer {
    if (this.#buffer !== null) return this.#buffer;
    throw new DeviceError({
      code: "STORAGE_FREED",
      message: `a storage of ${this.byteLength} bytes was used after it was freed`,
      fix: "this is a fault in Latentkit: report it",
    });
  }

  /** The buffer, once: the storage has none afterwards. */
  release(): GPUBuffer | null {
    const buffer = this.#buffer;
    this.#buffer = null;
    return buffer;
  }
}

/** Throws {@link DeviceError} `DEVICE_MISMATCH` for another backend's storage. */
export function ownStorage(storage: Storage): WebGpuStorage {
  if (storage instanceof WebGpuStorage) return storage;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: "the WebGPU device was given another backend's storage",
    fix: "use tensors of one device together",
  });
}
