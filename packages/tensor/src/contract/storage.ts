import type { DType } from "@latentkit/core";

/** A block of device memory. Each backend has its own subtype; nobody else looks inside. */
export interface Storage {
  readonly byteLength: number;
}

/** A contiguous run of elements inside a {@link Storage}: what kernels read and write. */
export interface Slice {
  readonly storage: Storage;
  /** In elements of `dtype`. */
  readonly offset: number;
  /** In elements of `dtype`. */
  readonly length: number;
  readonly dtype: DType;
}
