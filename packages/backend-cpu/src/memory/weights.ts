import { DeviceError, internalFault } from "@latentkit/core";
import type { Storage } from "@latentkit/tensor";
import type { Team } from "../threads/team.ts";
import type { WasmMemory } from "../wasm/engine.ts";
import { addressSpaceBytes, type CpuStorage, Heap } from "./heap.ts";
import type { Meter } from "./meter.ts";

/** Bytes for vectors on their way into an arena, in front of its weights. */
export const vectorBytes: number = 4 * 1024 * 1024;
/** Bytes for what each thread hands out of an arena. */
export const resultBytes: number = 64 * 1024;

/** Bytes of stored weights in one of the {@link WeightArenas}. */
export class WeightStorage implements Storage {
  readonly byteLength: number;
  /** Place among `Engine.arenas`. */
  readonly arena: number;
  readonly #block: CpuStorage;

  constructor(arena: number, block: CpuStorage) {
    this.arena = arena;
    this.#block = block;
    this.byteLength = block.byteLength;
  }

  /** Byte address in the arena's memory; throws `DeviceError` after the storage was freed. */
  get address(): number {
    return this.#block.address;
  }

  /** Gives the bytes back. A second call does nothing. */
  free(): void {
    this.#block.heap.free(this.#block);
  }
}

/** What {@link WeightArenas} are made of. */
export interface WeightArenasParts {
  readonly team: Team;
  readonly meter: Meter;
  /** A new memory that all threads of the team can have. */
  readonly reserve: () => WasmMemory;
  /** Bytes of weights at most. */
  readonly limit: number;
  /** Bytes of one arena at most; all that a memory can hold, except in tests. */
  readonly arenaBytes?: number | undefined;
}

/** Where one arena's memory keeps what. */
interface ArenaPlaces {
  readonly heap: Heap;
  /** Address of {@link vectorBytes}. */
  readonly vectors: number;
  /** Address of {@link resultBytes} for each thread. */
  readonly results: number;
}

/**
 * Memory for stored weights: WebAssembly memories of their own beside the tensors' one, so that a model may be larger than the 4
 * GiB that one of them can hold. Each thread has an instance of the kernels over each; vectors are copied in and results out.
 * Arenas are made as they are needed and kept until the device ends; freed weights make room for others.
 */
export class WeightArenas {
  readonly #parts: WeightArenasParts;
  readonly #arenas: ArenaPlaces[] = [];
  #live = 0;
  #closed = false;

  constructor(parts: WeightArenasParts) {
    this.#parts = parts;
  }

  /** Throws `DeviceError` `DEVICE_OUT_OF_MEMORY`. */
  allocate(byteLength: number): WeightStorage {
    if (this.#closed)
      throw new DeviceError({
        code: "DEVICE_DISPOSED",
        message: `${byteLength} bytes were asked of a disposed device`,
        fix: "open a new device",
      });
    const { limit } = this.#parts;
    if (this.#live + byteLength > limit) throw this.#full(byteLength, `and it may hold ${limit}`);
    for (const [index, { heap }] of this.#arenas.entries()) {
      const block = tryAllocate(heap, byteLength);
      if (block !== null) return this.#entered(index, block);
    }
    if (byteLength > this.#capacity)
      throw this.#full(byteLength, `and one weight can have ${this.#capacity} at most`);
    const index = this.#open(byteLength);
    const block = tryAllocate(this.#at(index).heap, byteLength);
    if (block === null) throw this.#full(byteLength, "and the system gives no more memory");
    return this.#entered(index, block);
  }

  free(storage: WeightStorage): void {
    if (this.#closed) return;
    storage.free();
    this.#live -= storage.byteLength;
  }

  write(storage: WeightStorage, byteOffset: number, bytes: Uint8Array): void {
    this.#at(storage.arena).heap.bytes.set(bytes, storage.address + byteOffset);
  }

  /** Every byte of an arena as it is now. */
  bytes(arena: number): Uint8Array {
    return this.#at(arena).heap.bytes;
  }

  /** Where an arena takes vectors and hands out results. */
  places(arena: number): ArenaPlaces {
    return this.#at(arena);
  }

  /** Ends the arenas: their storages are gone. */
  dispose(): void {
    this.#closed = true;
    for (const { heap } of this.#arenas) heap.dispose();
    this.#live = 0;
  }

  /** Bytes that the largest weight can have. */
  get #capacity(): number {
    const { arenaBytes = addressSpaceBytes, team } = this.#parts;
    // A page for the module's constants, and room for how the allocator spaces large blocks.
    return arenaBytes - vectorBytes - team.threads * resultBytes - 2 * 65_536;
  }

  #entered(index: number, block: CpuStorage): WeightStorage {
    this.#live += block.byteLength;
    return new WeightStorage(index, block);
  }

  #at(index: number): ArenaPlaces {
    const arena = this.#arenas[index];
    if (arena === undefined) throw internalFault(`there is no arena ${index}`);
    return arena;
  }

  #open(asked: number): number {
    const { team, reserve, meter, arenaBytes = addressSpaceBytes } = this.#parts;
    let memory: WasmMemory;
    try {
      memory = reserve();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw this.#full(asked, "and the system gives no address space for more", error);
    }
    const index = team.attach(memory);
    const { heapStart } = team.engine.arenas[index]?.wasm ?? team.engine.wasm;
    const vectors = Math.ceil(heapStart() / 64) * 64;
    const results = vectors + vectorBytes;
    const start = results + team.threads * resultBytes;
    const heap = new Heap(memory, start, arenaBytes, meter);
    // Reached once, for good: kernels write there without asking.
    heap.withScratch(0, () => {});
    this.#arenas[index] = { heap, vectors, results };
    return index;
  }

  #full(asked: number, why: string, cause?: unknown): DeviceError {
    return new DeviceError({
      code: "DEVICE_OUT_OF_MEMORY",
      message: `${asked} bytes for a stored weight were asked for, the CPU device holds ${this.#live} of weights, ${why}`,
      fix: "dispose models that are no longer needed, or take a smaller model or a smaller format",
      cause,
    });
  }
}

function tryAllocate(heap: Heap, byteLength: number): CpuStorage | null {
  try {
    return heap.allocate(byteLength);
  } catch (error) {
    if (DeviceError.isInstance(error) && error.code === "DEVICE_OUT_OF_MEMORY") return null;
    throw error;
  }
}
