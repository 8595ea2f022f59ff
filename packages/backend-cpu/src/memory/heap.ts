import { DeviceError } from "@latentkit/core";
import type { MemoryUse, Storage } from "@latentkit/tensor";
import type { WasmMemory } from "../wasm/engine.ts";
import { Allocator, type Block } from "./allocator.ts";
import { Meter } from "./meter.ts";

const pageBytes = 65_536;
/** Vector loads at the end of a slice may read past it: this much behind the last block stays unused. */
const guardBytes = 64;
const growthBytes = 16 * 1024 * 1024;

/** All that a WebAssembly memory can hold. */
export const addressSpaceBytes: number = 65_536 * pageBytes;

/** A block of the {@link Heap}. */
export class CpuStorage implements Storage {
  readonly byteLength: number;
  readonly heap: Heap;
  #block: Block | null;

  constructor(heap: Heap, block: Block, byteLength: number) {
    this.heap = heap;
    this.#block = block;
    this.byteLength = byteLength;
  }

  /** Byte address; throws `DeviceError` after the storage was freed. */
  get address(): number {
    if (this.#block !== null) return this.#block.offset;
    throw new DeviceError({
      code: "STORAGE_FREED",
      message: `a storage of ${this.byteLength} bytes was used after it was freed`,
      fix: "this is a fault in Latentkit: report it",
    });
  }

  /** The block, once: the storage has no address afterwards. */
  release(): Block | null {
    const block = this.#block;
    this.#block = null;
    return block;
  }
}

/**
 * One growable WebAssembly memory and who owns which part of it. Growing detaches every view of the old buffer, so views are
 * asked of the heap each time and never kept.
 */
export class Heap {
  readonly memory: WasmMemory;
  readonly #limit: number;
  readonly #allocator: Allocator;
  readonly #meter: Meter;
  #live = 0;
  #closed = false;
  #bytes: Uint8Array;

  /**
   * @param memory the memory of the kernels. @param start first byte that is free. @param limit bytes to use at most.
   * @param meter counts with other heaps of the device
   */
  constructor(memory: WasmMemory, start: number, limit: number, meter: Meter = new Meter()) {
    this.memory = memory;
    this.#meter = meter;
    this.#limit = Math.min(limit, addressSpaceBytes);
    this.#allocator = new Allocator(start, this.#limit - guardBytes);
    this.#bytes = new Uint8Array(memory.buffer);
  }

  /** Every byte of the memory as it is now. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get buffer(): ArrayBufferLike {
    return this.#bytes.buffer;
  }

  allocate(byteLength: number): CpuStorage {
    if (this.#closed)
      throw new DeviceError({
        code: "DEVICE_DISPOSED",
        message: `${byteLength} bytes were asked of a disposed device`,
        fix: "open a new device",
      });
    const block = this.#allocator.allocate(byteLength);
    if (block === null) throw this.#full(byteLength);
    try {
      this.#reach(block.offset + block.size + guardBytes, byteLength);
    } catch (error) {
      this.#allocator.free(block);
      throw error;
    }
    this.#live += byteLength;
    this.#meter.add(byteLength);
    return new CpuStorage(this, block, byteLength);
  }

  /** Freeing twice does nothing. */
  free(storage: CpuStorage): void {
    const block = storage.release();
    if (block === null || this.#closed) return;
    this.#allocator.free(block);
    this.#live -= storage.byteLength;
    this.#meter.remove(storage.byteLength);
  }

  /** Runs `use` with the address of `byteLength` bytes that are free again afterwards. */
  withScratch<T>(byteLength: number, use: (address: number) => T): T {
    const scratch = this.allocate(byteLength);
    try {
      return use(scratch.address);
    } finally {
      this.free(scratch);
    }
  }

  /** Ends the heap: its storages are gone. */
  dispose(): void {
    this.#closed = true;
    this.#meter.remove(this.#live);
    this.#live = 0;
  }

  /** Of all heaps that share the meter. */
  memoryUse(): MemoryUse {
    return this.#meter.use();
  }

  #reach(end: number, asked: number): void {
    const missing = end - this.#bytes.length;
    if (missing <= 0) return;
    const most = Math.floor(this.#limit / pageBytes) - this.#bytes.length / pageBytes;
    const least = Math.ceil(missing / pageBytes);
    for (const pages of [Math.min(most, Math.max(least, growthBytes / pageBytes)), least]) {
      try {
        this.memory.grow(pages);
        this.#bytes = new Uint8Array(this.memory.buffer);
        return;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
    throw this.#full(asked);
  }

  #full(asked: number): DeviceError {
    return new DeviceError({
      code: "DEVICE_OUT_OF_MEMORY",
      message: `${asked} bytes were asked for, ${this.#live} are in use, and the CPU device has ${this.#limit} in all`,
      fix: "dispose tensors that are no longer needed, or work in smaller batches",
    });
  }
}
