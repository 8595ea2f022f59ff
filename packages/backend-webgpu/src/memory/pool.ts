/// <reference types="@webgpu/types" />
import { DeviceError } from "@latentkit/core";
import type { MemoryUse } from "@latentkit/tensor";
import { WebGpuStorage } from "./storage.ts";

/** Idle buffers are kept up to this many bytes, or as many as are in use. */
const idleBytesKept = 64 * 1024 * 1024;

/** What a {@link BufferPool} is made of. */
export interface BufferPoolOptions {
  readonly device: GPUDevice;
  /** Bytes that storages may take together. */
  readonly memoryLimit: number;
  /** Destroys buffers once the device has been given all that was recorded. */
  readonly destroy: (buffers: readonly GPUBuffer[]) => void;
  /** Called when the device reports, some time later, that a buffer had no memory. */
  readonly onExhausted: (byteLength: number) => void;
}

/**
 * Buffers by size, lent and taken back. Bytes in use are counted as they were asked for, to the byte; what the pool keeps idle is
 * not in use. A buffer that is given back may be lent again while commands that use it still wait: the queue runs in order.
 */
export class BufferPool {
  readonly #options: BufferPoolOptions;
  readonly #idle = new Map<number, GPUBuffer[]>();
  #idleBytes = 0;
  #live = 0;
  #peak = 0;
  #closed = false;

  constructor(options: BufferPoolOptions) {
    this.#options = options;
  }

  /**
   * Memory of at least `byteLength` bytes with whatever it held.
   *
   * Throws {@link DeviceError} `DEVICE_OUT_OF_MEMORY` above the limit or the device's largest buffer, `DEVICE_DISPOSED` after the end.
   */
  acquire(byteLength: number): WebGpuStorage {
    if (this.#closed)
      throw new DeviceError({
        code: "DEVICE_DISPOSED",
        message: `${byteLength} bytes were asked of a disposed device`,
        fix: "open a new device",
      });
    const { device, memoryLimit } = this.#options;
    if (byteLength + this.#live > memoryLimit)
      throw outOfMemory(
        `${byteLength} bytes were asked for, ${this.#live} are in use, and the WebGPU device may hold ${memoryLimit}`,
      );
    if (byteLength > device.limits.maxBufferSize)
      throw outOfMemory(
        `${byteLength} bytes were asked for, and a buffer of this WebGPU device has at most ${device.limits.maxBufferSize}`,
      );
    const size = Math.min(bufferSize(byteLength), device.limits.maxBufferSize);
    const kept = this.#idle.get(size)?.pop();
    if (kept !== undefined) this.#idleBytes -= size;
    const buffer = kept ?? this.#create(size);
    this.#live += byteLength;
    this.#peak = Math.max(this.#peak, this.#live);
    return new WebGpuStorage(buffer, byteLength);
  }

  /** Takes a storage back; a second time does nothing. */
  release(storage: WebGpuStorage): void {
    const buffer = storage.release();
    if (buffer === null || this.#closed) return;
    this.#live -= storage.byteLength;
    const { size } = buffer;
    if (this.#idleBytes + size > Math.max(idleBytesKept, this.#live)) this.#trim();
    const idle = this.#idle.get(size);
    if (idle === undefined) this.#idle.set(size, [buffer]);
    else idle.push(buffer);
    this.#idleBytes += size;
  }

  /** Bytes in use. */
  use(): MemoryUse {
    return { liveBytes: this.#live, peakBytes: this.#peak };
  }

  /** Ends the pool: its storages are gone. */
  dispose(): void {
    this.#closed = true;
    this.#idle.clear();
    this.#live = 0;
  }

  /** Destroys what is idle. */
  #trim(): void {
    this.#options.destroy([...this.#idle.values()].flat());
    this.#idle.clear();
    this.#idleBytes = 0;
  }

  #create(size: number): GPUBuffer {
    const { device } = this.#options;
    device.pushErrorScope("out-of-memory");
    const buffer = device.createBuffer({
      size,
      usage: GPUBufferUsageBits.storage | GPUBufferUsageBits.copyFrom | GPUBufferUsageBits.copyTo,
    });
    void this.#report(device.popErrorScope(), size);
    return buffer;
  }

  async #report(outcome: Promise<GPUError | null>, size: number): Promise<void> {
    try {
      if ((await outcome) !== null) this.#options.onExhausted(size);
    } catch {
      // The device is lost: `device.lost` tells of it.
    }
  }
}

/** `GPUBufferUsage`, which Node has no global for. */
export const GPUBufferUsageBits = {
  mapRead: 1,
  copyFrom: 4,
  copyTo: 8,
  uniform: 64,
  storage: 128,
} as const;

/** Sizes come in steps of a quarter of a power of two, so that at most a fifth is unused and buffers fit many tensors. */
export function bufferSize(byteLength: number): number {
  if (byteLength <= 1024) return Math.max(256, Math.ceil(byteLength / 256) * 256);
  const step = 2 ** (Math.floor(Math.log2(byteLength)) - 2);
  return Math.ceil(byteLength / step) * step;
}

function outOfMemory(message: string): DeviceError {
  return new DeviceError({
    code: "DEVICE_OUT_OF_MEMORY",
    message,
    fix: "dispose tensors that are no longer needed, or work in smaller batches",
  });
}
