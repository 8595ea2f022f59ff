import { bytesPerElement } from "@latentkit/core";
import type { Backend, Kernels, Slice, Storage } from "@latentkit/tensor";
import { attentionKernels } from "./kernels/attention.ts";
import { batchTopKKernels } from "./kernels/batch-top-k.ts";
import { elementwiseKernels } from "./kernels/elementwise.ts";
import { indexingKernels } from "./kernels/indexing.ts";
import { matmulKernels } from "./kernels/matmul.ts";
import { memoryKernels } from "./kernels/memory.ts";
import { normaliseKernels } from "./kernels/normalise.ts";
import { optimiseKernels } from "./kernels/optimise.ts";
import { positionKernels } from "./kernels/position.ts";
import { randomKernels } from "./kernels/random.ts";
import { reduceKernels } from "./kernels/reduce.ts";
import { sortKernels } from "./kernels/sort.ts";
import { sparseKernels } from "./kernels/sparse.ts";
import { sparseProductKernels } from "./kernels/sparse-products.ts";
import { ownWeights, storedKernels } from "./kernels/stored.ts";
import { blasProvider } from "./matmul/blas-gemm.ts";
import { processors } from "./matmul/host.ts";
import type { BlasLibrary } from "./matmul/provider.ts";
import { teamGemm } from "./matmul/team-gemm.ts";
import { wasmProvider } from "./matmul/wasm-gemm.ts";
import { addressSpaceBytes, Heap } from "./memory/heap.ts";
import { Meter } from "./memory/meter.ts";
import { WeightArenas, WeightStorage } from "./memory/weights.ts";
import { address, ownStorage, type Runtime } from "./runtime.ts";
import { canLaunch } from "./threads/launch.ts";
import { Team } from "./threads/team.ts";
import { type KernelFlavour, prepareKernels, reserveMemory } from "./wasm/instance.ts";
import { instantiateOver } from "./wasm/instantiate.ts";

/** What {@link createCpuBackend} is built from. */
export interface CpuBackendOptions {
  /** Who computes matrix products; our own kernels if null. */
  readonly library: BlasLibrary | null;
  /** Threads that kernels run on, the caller's among them; as many as there are processors by default. 1 outside Node. */
  readonly threads?: number | undefined;
  /** Bytes of tensors and scratch that the device may use. */
  readonly memoryLimit?: number | undefined;
  /** Bytes of stored weights that the device may hold, beside the tensors; no limit of our own by default. */
  readonly weightLimit?: number | undefined;
  /** Bytes of one arena of stored weights at most, for tests. */
  readonly arenaBytes?: number | undefined;
  readonly flavour?: KernelFlavour | undefined;
}

/** A CPU backend and the parts that tests and benches look into. */
export interface CpuBackend extends Backend {
  readonly runtime: Runtime;
}

/** Bytes in front of each thread's scratch for matrix products, so that no two threads write one cache line. */
const lineBytes = 64;

/** A backend over a WebAssembly memory that its threads share. */
export async function createCpuBackend(options: CpuBackendOptions): Promise<CpuBackend> {
  const { library } = options;
  const threads = canLaunch() ? (options.threads ?? processors()) : 1;
  const { module, memory, build } = await prepareKernels(threads > 1, options.flavour);
  const { heapStart, gemmScratchBytes } = instantiateOver(module, memory);
  const scratchStride = Math.ceil(gemmScratchBytes() / lineBytes) * lineBytes;
  const scratchStart = Math.ceil(heapStart() / lineBytes) * lineBytes;
  const meter = new Meter();
  const heap = new Heap(
    memory,
    scratchStart + threads * scratchStride,
    options.memoryLimit ?? addressSpaceBytes,
    meter,
  );
  const team = new Team({
    threads,
    module,
    memory,
    heap,
    blas: library,
    gemmScratch: (thread) => scratchStart + thread * scratchStride,
  });
  const arenas = new WeightArenas({
    team,
    meter,
    reserve: () => reserveMemory(threads > 1),
    limit: options.weightLimit ?? Number.POSITIVE_INFINITY,
    arenaBytes: options.arenaBytes,
  });
  const provider = library === null ? wasmProvider : blasProvider(library);
  const { wasm } = team.engine;
  const runtime: Runtime = { heap, wasm, team, gemm: teamGemm(team), provider };
  const kernels: Kernels = {
    ...memoryKernels(runtime),
    ...elementwiseKernels(runtime),
    ...randomKernels(runtime),
    ...reduceKernels(runtime),
    ...sortKernels(runtime),
    ...matmulKernels(runtime),
    ...indexingKernels(runtime),
    ...normaliseKernels(runtime),
    ...positionKernels(runtime),
    ...attentionKernels(runtime),
    ...sparseKernels(runtime),
    ...batchTopKKernels(runtime),
    ...sparseProductKernels(runtime),
    ...optimiseKernels(runtime),
    ...storedKernels(runtime, arenas),
  };
  return {
    info: { name: "cpu", matmul: provider.name, threads, build },
    kernels,
    runtime,
    allocate: (byteLength: number): Storage => heap.allocate(byteLength),
    allocateWeights: (byteLength: number): Storage => arenas.allocate(byteLength),
    writeWeights(target: Storage, byteOffset: number, bytes: Uint8Array): void {
      arenas.write(ownWeights(target), byteOffset, bytes);
    },
    free(storage: Storage): void {
      if (storage instanceof WeightStorage) arenas.free(storage);
      else heap.free(ownStorage(storage));
    },
    write(target: Slice, bytes: Uint8Array): void {
      heap.bytes.set(bytes, address(target));
    },
    // Copied before the first await, so that the caller may free the storage at once.
    read(source: Slice): Promise<Uint8Array<ArrayBuffer>> {
      const start = address(source);
      const end = start + source.length * bytesPerElement(source.dtype);
      return Promise.resolve(heap.bytes.slice(start, end));
    },
    memory: () => heap.memoryUse(),
    // The memory itself goes with the last reference to it.
    dispose(): void {
      team.dispose();
      arenas.dispose();
      heap.dispose();
    },
  };
}
