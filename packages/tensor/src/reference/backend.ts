import { bytesPerElement } from "@latentkit/core";
import type { Backend, Kernels, Slice, Storage } from "../backend.ts";
import { attentionKernels } from "./attention.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { gradientKernels } from "./gradients.ts";
import { indexingKernels } from "./indexing.ts";
import { matmulKernels } from "./matmul.ts";
import { memoryKernels } from "./memory.ts";
import { normaliseKernels } from "./normalise.ts";
import { optimiseKernels } from "./optimise.ts";
import { positionKernels } from "./position.ts";
import { randomKernels } from "./random.ts";
import { reduceKernels } from "./reduce.ts";
import { sortKernels } from "./sort.ts";
import { sparseKernels } from "./sparse.ts";
import { f32, ownStorage, type ReferencePrecision, ReferenceStorage } from "./storage.ts";
import { ownWeights, ReferenceWeights, storedKernels } from "./stored.ts";

const kernels: Kernels = {
  ...memoryKernels,
  ...elementwiseKernels,
  ...randomKernels,
  ...reduceKernels,
  ...sortKernels,
  ...matmulKernels,
  ...indexingKernels,
  ...normaliseKernels,
  ...positionKernels,
  ...attentionKernels,
  ...sparseKernels,
  ...gradientKernels,
  ...optimiseKernels,
  ...storedKernels,
};

/** Options of {@link createReferenceBackend}. */
export interface ReferenceBackendOptions {
  /**
   * `"f64"` holds every f32 tensor as f64 from one operator to the next, and rounds only where the host writes or reads: what
   * finite differences are taken on. `"f32"` by default.
   */
  readonly precision?: ReferencePrecision | undefined;
}

/**
 * The kernels written for reading: plain loops, f64 inside, one rounding to f32 at the end. Slow. It is what the fast backends
 * are tested against, and runs wherever JavaScript does.
 */
export function createReferenceBackend({
  precision = "f32",
}: ReferenceBackendOptions = {}): Backend {
  const live = new Set<ReferenceStorage | ReferenceWeights>();
  let liveBytes = 0;
  let peakBytes = 0;
  const entered = <T extends ReferenceStorage | ReferenceWeights>(storage: T): T => {
    live.add(storage);
    liveBytes += storage.byteLength;
    peakBytes = Math.max(peakBytes, liveBytes);
    return storage;
  };
  return {
    info: {
      name: precision === "f32" ? "reference" : "reference-f64",
      matmul: "reference",
      threads: 1,
      build: "1",
    },
    kernels,
    allocate: (byteLength: number): Storage => entered(new ReferenceStorage(byteLength, precision)),
    allocateWeights: (byteLength: number): Storage => entered(new ReferenceWeights(byteLength)),
    writeWeights(target: Storage, byteOffset: number, bytes: Uint8Array): void {
      ownWeights(target).bytes.set(bytes, byteOffset);
    },
    free(storage: Storage): void {
      // Throws for another backend's storage and for one that is already free.
      const own = storage instanceof ReferenceWeights ? storage : ownStorage(storage);
      if (own.bytes.length > 0 && live.delete(own)) own.free();
      liveBytes -= storage.byteLength;
    },
    write(target: Slice, bytes: Uint8Array): void {
      if (target.dtype === "f32") f32(target).set(new Float32Array(bytes.slice().buffer));
      else hostBytes(target).set(bytes);
    },
    // Copied before the first await, so that the caller may free the storage at once.
    read(source: Slice): Promise<Uint8Array<ArrayBuffer>> {
      return Promise.resolve(
        source.dtype === "f32"
          ? new Uint8Array(Float32Array.from(f32(source)).buffer)
          : hostBytes(source).slice(),
      );
    },
    memory: () => ({ liveBytes, peakBytes }),
    dispose(): void {
      for (const storage of live) storage.free();
      live.clear();
      liveBytes = 0;
    },
  };
}

function hostBytes(slice: Slice): Uint8Array<ArrayBuffer> {
  const width = bytesPerElement(slice.dtype);
  const { buffer } = ownStorage(slice.storage).bytes;
  return new Uint8Array(buffer, slice.offset * width, slice.length * width);
}
