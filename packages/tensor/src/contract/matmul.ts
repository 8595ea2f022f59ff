import type { Slice } from "./storage.ts";

/** A function that a matrix product may apply to its result on the way out; as the operators of these names. */
export type Activation = "gelu" | "geluTanh" | "relu" | "silu";

/** What is done to a product while its block is at hand: `out = activation(product + bias)`. */
export interface MatmulEpilogue {
  /** f32 `[n]`, added to every row. */
  readonly bias: Slice | null;
  readonly activation: Activation | null;
}

/**
 * `out[i] = activation(alpha * op(a[i]) @ op(b[i]) + beta * out[i] + bias)` for i below `batch`; matrices are row-major.
 *
 * Any size may be 0; over an inner size of 0 the product is 0. With `beta` = 0 the output is not read. What lies between the
 * rows of the output (`rowStrideOut > n`) is not touched.
 */
export interface MatmulPlan {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether `a` is stored as [k, m] instead of [m, k]. */
  readonly transposeA: boolean;
  /** Whether `b` is stored as [n, k] instead of [k, n] (as PyTorch stores `Linear.weight`). */
  readonly transposeB: boolean;
  /** Elements from one stored row to the next. */
  readonly rowStrideA: number;
  readonly rowStrideB: number;
  readonly rowStrideOut: number;
  /** Elements from one batch entry to the next; 0 repeats the same matrix. */
  readonly batchStrideA: number;
  readonly batchStrideB: number;
  readonly batchStrideOut: number;
  readonly alpha: number;
  readonly beta: number;
  /** Nothing by default. */
  readonly epilogue?: MatmulEpilogue | undefined;
}

/** Matrix products. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface MatmulKernels {
  matmul(a: Slice, b: Slice, out: Slice, plan: MatmulPlan): void;
}
