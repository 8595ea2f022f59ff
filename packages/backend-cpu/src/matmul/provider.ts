/** `out = alpha * op(a) @ op(b) + beta * out`, row-major; addresses in bytes, strides in elements from one stored row to the next. */
export interface GemmCall {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly alpha: number;
  readonly a: number;
  readonly strideA: number;
  readonly b: number;
  readonly strideB: number;
  readonly beta: number;
  readonly out: number;
  readonly strideOut: number;
}

/** Computes matrix products on the kernels' memory. With `beta` = 0, `out` is not read. */
export interface Gemm {
  sgemm(call: GemmCall): void;
}

/** The products of a batch, and what follows each of them. Flat, since one is made for every product of a model. */
export interface BatchedCall extends GemmCall {
  readonly batch: number;
  /** In elements from one entry to the next; 0 for the same again. */
  readonly batchA: number;
  readonly batchB: number;
  readonly batchOut: number;
  /** Address of n numbers to add to each row; 0 for none. */
  readonly bias: number;
  /** A number of {@link activationCodes}; 0 for none. */
  readonly activation: number;
}

/** As src/wasm/assembly/finish.ts numbers them. */
export const activationCodes = { gelu: 1, geluTanh: 2, relu: 3, silu: 4 } as const;

/** Products on all threads. */
export interface BatchedGemm extends Gemm {
  batched(call: BatchedCall): void;
}

/** Who computes matrix products, for manifests and for choices that depend on its speed. */
export interface GemmProvider {
  /** `"wasm"`, or the library with its version and core, for example `"openblas 0.3.21 (SkylakeX)"`. */
  readonly name: string;
  /**
   * Share of entries above which sparse rows are better multiplied as a dense matrix. A constant of the provider and not a
   * measurement of the day: it decides the order of additions, and results are reproducible.
   */
  readonly denseFraction: number;
}

/** Where a library came from, so that another thread can open it too. */
export interface BlasOrigin {
  /** Path of the FFI, the package koffi. */
  readonly koffi: string;
  /** As the system's loader is asked for it. */
  readonly library: string;
}

/**
 * A BLAS library as this thread opened it: `cblas_sgemm` in row-major order on addresses in the process. Each call stays on the
 * thread that makes it; products are divided by us, so that no second set of threads competes with ours.
 */
export interface BlasLibrary {
  readonly name: string;
  /** Null if only this thread can have it. */
  readonly origin: BlasOrigin | null;
  /** Address of a buffer's first byte; a WebAssembly memory stays where it is when it grows. */
  address(buffer: ArrayBufferLike): number;
  sgemm(
    transposeA: boolean,
    transposeB: boolean,
    m: number,
    n: number,
    k: number,
    alpha: number,
    a: number,
    strideA: number,
    b: number,
    strideB: number,
    beta: number,
    out: number,
    strideOut: number,
  ): void;
}
