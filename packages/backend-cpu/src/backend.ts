import type { Backend, Kernels, Storage } from "@latentkit/tensor";
import { elementwiseKernels } from "./kernels/elementwise.ts";
import { matmulKernels } from "./kernels/matmul.ts";
import { memoryKernels } from "./kernels/memory.ts";
import { optimiseKernels } from "./kernels/optimise.ts";
import { reduceKernels } from "./kernels/reduce.ts";
import { sparseKernels } from "./kernels/sparse.ts";
import { sparseProductKernels } from "./kernels/sparse-products.ts";
import { transformerKernels } from "./kernels/transformer.ts";
import { blasGemm } from "./matmul/blas-gemm.ts";
import type { BlasLibrary } from "./matmul/provider.ts";
import { wasmGemm } from "./matmul/wasm-gemm.ts";
import { addressSpaceBytes, Heap } from "./memory/heap.ts";
import { ownStorage, type Runtime } from "./runtime.ts";
import { instantiateKernels, type KernelFlavour } from "./wasm/instance.ts";

/** What {@link createCpuBackend} is built from. */
export interface CpuBackendOptions {
  /** Who computes matrix products; our own kernels if null. */
  readonly library: BlasLibrary | null;
  /** Bytes that the device may use. */
  readonly memoryLimit?: number | undefined;
  readonly flavour?: KernelFlavour | undefined;
}

/** A CPU backend and the parts that tests and benches look into. */
export interface CpuBackend extends Backend {
  readonly runtime: Runtime;
}

/** A backend over a WebAssembly memory of its own. Kernels run at once, on the calling thread. */
export async function createCpuBackend(options: CpuBackendOptions): Promise<CpuBackend> {
  const { exports: wasm, memory, build } = await instantiateKernels(options.flavour);
  const heap = new Heap(memory, wasm.heapStart(), options.memoryLimit ?? addressSpaceBytes);
  const gemm =
    options.library === null ? wasmGemm(heap, wasm) : blasGemm(options.library, heap, wasm);
  const runtime: Runtime = { heap, wasm, gemm };
  const kernels: Kernels = {
    ...memoryKernels(runtime),
    ...elementwiseKernels(runtime),
    ...reduceKernels(runtime),
    ...matmulKernels(runtime),
    ...transformerKernels(runtime),
    ...sparseKernels(runtime),
    ...sparseProductKernels(runtime),
    ...optimiseKernels(runtime),
  };
  return {
    info: { name: "cpu", matmul: gemm.name, threads: gemm.threads, build },
    kernels,
    runtime,
    allocate: (byteLength: number): Storage => heap.allocate(byteLength),
    free(storage: Storage): void {
      heap.free(ownStorage(storage));
    },
    write(storage: Storage, byteOffset: number, bytes: Uint8Array): void {
      heap.bytes.set(bytes, ownStorage(storage).address + byteOffset);
    },
    // Copied before the first await, so that the caller may free the storage at once.
    read(
      storage: Storage,
      byteOffset: number,
      byteLength: number,
    ): Promise<Uint8Array<ArrayBuffer>> {
      const start = ownStorage(storage).address + byteOffset;
      return Promise.resolve(heap.bytes.slice(start, start + byteLength));
    },
    memory: () => heap.memoryUse(),
    // The memory itself goes with the last reference to it.
    dispose: () => heap.dispose(),
  };
}
