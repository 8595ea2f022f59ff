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
  /** `"wasm"`, or the library with its version and core, for example `"openblas 0.3.21 (SkylakeX)"`. */
  readonly name: string;
  readonly threads: number;
  /**
   * Share of entries above which sparse rows are better multiplied as a dense matrix. A constant of the provider and not a
   * measurement of the day: it decides the order of additions, and results are reproducible.
   */
  readonly denseFraction: number;
  sgemm(call: GemmCall): void;
}

/** A BLAS library as the process loaded it: `cblas_sgemm` in row-major order on typed arrays. */
export interface BlasLibrary {
  readonly name: string;
  readonly threads: number;
  sgemm(
    transposeA: boolean,
    transposeB: boolean,
    m: number,
    n: number,
    k: number,
    alpha: number,
    a: Float32Array,
    strideA: number,
    b: Float32Array,
    strideB: number,
    beta: number,
    out: Float32Array,
    strideOut: number,
  ): void;
}
