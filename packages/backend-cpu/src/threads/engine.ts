import type { BlasLibrary, Gemm } from "../matmul/provider.ts";
import { blasGemm } from "../matmul/blas-gemm.ts";
import { wasmGemm } from "../matmul/wasm-gemm.ts";
import type { WasmMemory, WasmModule } from "../wasm/engine.ts";
import type { KernelExports } from "../wasm/instance.ts";
import { instantiateOver } from "../wasm/instantiate.ts";

/** Another memory than the kernels' own: weights lie there. */
export interface Arena {
  readonly memory: WasmMemory;
  /** This thread's kernels over that memory. */
  readonly wasm: KernelExports;
  /** Address of the memory's first byte in the process, for libraries; 0 without one. */
  readonly base: number;
}

/** What one thread works with: its own instance of the kernels over the memory that all threads share. */
export interface Engine {
  /** 0 is the caller. */
  readonly thread: number;
  readonly memory: WasmMemory;
  readonly wasm: KernelExports;
  /** Matrix products on this thread alone. */
  readonly gemm: Gemm;
  /** The library behind `gemm`, if it is one. */
  readonly blas: BlasLibrary | null;
  /** Address of the memory's first byte in the process, for libraries; 0 without one. */
  readonly base: number;
  readonly arenas: readonly Arena[];
  /** Takes another memory; its place in `arenas`. */
  attach(memory: WasmMemory): number;
}

/** What {@link createEngine} is made of. */
export interface EngineParts {
  readonly thread: number;
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  readonly blas: BlasLibrary | null;
  /** Address of {@link gemmScratch} bytes of this thread's own. */
  readonly scratch: number;
}

export function createEngine({ thread, module, memory, blas, scratch }: EngineParts): Engine {
  const wasm = instantiateOver(module, memory);
  const arenas: Arena[] = [];
  const base = blas === null ? 0 : blas.address(memory.buffer);
  return {
    thread,
    memory,
    wasm,
    blas,
    base,
    gemm: blas === null ? wasmGemm(wasm, scratch) : blasGemm(blas, base, wasm, scratch),
    arenas,
    attach(other) {
      arenas.push({
        memory: other,
        wasm: instantiateOver(module, other),
        base: blas === null ? 0 : blas.address(other.buffer),
      });
      return arenas.length - 1;
    },
  };
}
