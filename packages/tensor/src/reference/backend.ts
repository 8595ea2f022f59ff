import type { Backend, Kernels, Storage } from "../backend.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { gradientKernels } from "./gradients.ts";
import { matmulKernels } from "./matmul.ts";
import { memoryKernels } from "./memory.ts";
import { optimiseKernels } from "./optimise.ts";
import { reduceKernels } from "./reduce.ts";
import { sparseKernels } from "./sparse.ts";
import { hostBytes, ReferenceStorage } from "./storage.ts";
import { transformerKernels } from "./transformer.ts";

const kernels: Kernels = {
  ...memoryKernels,
  ...elementwiseKernels,
  ...reduceKernels,
  ...matmulKernels,
  ...transformerKernels,
  ...sparseKernels,
  ...gradientKernels,
  ...optimiseKernels,
};

/**
 * The kernels written for reading: plain loops, f64 inside, one rounding to f32 at the end. Slow. It is what the fast backends
 * are tested against, and runs wherever JavaScript does.
 */
export function createReferenceBackend(): Backend {
  const live = new Set<ReferenceStorage>();
  let liveBytes = 0;
  let peakBytes = 0;
  const freeOwn = (storage: Storage): void => {
    // Throws for another backend's storage and for one that is already free.
    hostBytes(storage);
    if (storage instanceof ReferenceStorage && live.delete(storage)) storage.free();
  };
  return {
    info: { name: "reference", matmul: "reference", threads: 1, build: "1" },
    kernels,
    allocate(byteLength: number): Storage {
      const storage = new ReferenceStorage(byteLength);
      live.add(storage);
      liveBytes += byteLength;
      peakBytes = Math.max(peakBytes, liveBytes);
      return storage;
    },
    free(storage: Storage): void {
      freeOwn(storage);
      liveBytes -= storage.byteLength;
    },
    write(storage: Storage, byteOffset: number, bytes: Uint8Array): void {
      hostBytes(storage).set(bytes, byteOffset);
    },
    // Copied before the first await, so that the caller may free the storage at once.
    read: (storage, byteOffset, byteLength) =>
      Promise.resolve(hostBytes(storage).slice(byteOffset, byteOffset + byteLength)),
    memory: () => ({ liveBytes, peakBytes }),
    dispose(): void {
      for (const storage of live) storage.free();
      live.clear();
      liveBytes = 0;
    },
  };
}
