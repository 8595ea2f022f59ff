import { bytesPerElement, DeviceError } from "@latentkit/core";
import type { Slice, Storage } from "@latentkit/tensor";
import { CpuStorage, type Heap } from "./memory/heap.ts";
import type { BatchedGemm, GemmProvider } from "./matmul/provider.ts";
import type { Team } from "./threads/team.ts";
import type { KernelExports } from "./wasm/kernels.generated.ts";

/** What every kernel family works with. */
export interface Runtime {
  readonly heap: Heap;
  /** The kernels on the caller's thread. */
  readonly wasm: KernelExports;
  /** All threads. */
  readonly team: Team;
  /** Matrix products on all threads. */
  readonly gemm: BatchedGemm;
  readonly provider: GemmProvider;
}

/** Throws `DeviceError` `DEVICE_MISMATCH` for another backend's storage. */
export function ownStorage(storage: Storage): CpuStorage {
  if (storage instanceof CpuStorage) return storage;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: "the CPU device was given another backend's storage",
    fix: "use tensors of one device together",
  });
}

/** Byte address of a slice's first element. */
export function address(slice: Slice): number {
  return ownStorage(slice.storage).address + slice.offset * bytesPerElement(slice.dtype);
}

/** The same, 0 for none. */
export function addressOrNull(slice: Slice | null): number {
  return slice === null ? 0 : address(slice);
}
