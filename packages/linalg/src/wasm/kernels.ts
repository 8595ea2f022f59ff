import { DeviceError } from "@latentkit/core";
import { vectorsModule } from "./vectors.generated.ts";

/** The module's functions; addresses in bytes, lengths in elements. See assembly/vectors.ts. */
export interface VectorKernels {
  readonly reflectRows: (
    v: number,
    factor: number,
    target: number,
    stride: number,
    count: number,
    length: number,
  ) => void;
  readonly rotateRows: (
    matrix: number,
    stride: number,
    rows: number,
    cosines: number,
    sines: number,
    count: number,
    length: number,
  ) => void;
  readonly tridiagonalStep: (
    work: number,
    n: number,
    k: number,
    v: number,
    p: number,
    factor: number,
  ) => void;
  readonly multiplyTransposed: (
    a: number,
    b: number,
    m: number,
    n: number,
    k: number,
    out: number,
  ) => void;
  readonly jacobiSweep: (
    rows: number,
    turns: number,
    squares: number,
    n: number,
    orthogonal: number,
  ) => number;
}

/** The parts of the WebAssembly API that are used; the compiler's DOM library declares them, and all of the DOM with them. */
interface WasmEngine {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: unknown };
  readonly Memory: new (descriptor: { readonly initial: number }) => VectorMemory;
}

/** A memory that the kernels work on. */
export interface VectorMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** A new memory and the kernels over it. The module has two kilobytes: compiled at once, on any thread. */
export function instantiateVectors(): { memory: VectorMemory; kernels: VectorKernels } {
  // Every engine that has the global has these members.
  const { WebAssembly: engine } = globalThis as { WebAssembly?: WasmEngine };
  if (engine === undefined) {
    throw new DeviceError({
      code: "WASM_UNAVAILABLE",
      message: "this engine has no WebAssembly",
      fix: "use Node 20 or a browser of 2023 or later",
    });
  }
  const bytes = Uint8Array.from(atob(vectorsModule), (letter) => letter.charCodeAt(0));
  const memory = new engine.Memory({ initial: 1 });
  const abort = (): void => {};
  const { exports } = new engine.Instance(new engine.Module(bytes), { env: { memory, abort } });
  // Declared above as assembly/vectors.ts exports them.
  return { memory, kernels: exports as VectorKernels };
}
