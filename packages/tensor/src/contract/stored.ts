import type { StoredFormat } from "@latentkit/core";
import type { Slice, Storage } from "./storage.ts";

/**
 * How products of a quantised weight take the other factor. With `"i16"` a kernel may round it, for each 32 neighbours, to multiples
 * of their largest magnitude over 32,767, so that products are of integers. Formats of plain numbers take f32 always.
 */
export type StoredActivations = "f32" | "i16";

/** A matrix `[rows, columns]` as it was stored: row after row of whole blocks. */
export interface WeightMatrix {
  /** Of `Backend.allocateWeights`. */
  readonly storage: Storage;
  /** Of the first row. */
  readonly byteOffset: number;
  readonly rows: number;
  /** A multiple of the format's block. */
  readonly columns: number;
  readonly format: StoredFormat;
  readonly activations: StoredActivations;
}

/** Products with weights as they are stored. All floats are f32; index slices are i32. */
export interface StoredKernels {
  /** `out[r] = weight x[r] + bias` for `x [rows, weight.columns]`, `out [rows, weight.rows]`; bias may be null. */
  linearStored(x: Slice, rows: number, weight: WeightMatrix, bias: Slice | null, out: Slice): void;
  /** `dx [rows, weight.columns] = dOut [rows, weight.rows] weight`, with `activations` of f32 whatever the weight says. */
  linearStoredInputGradient(dOut: Slice, rows: number, weight: WeightMatrix, dx: Slice): void;
  /** Rows `firstRow .. firstRow + rows` as f32, the values of `decodeStored` bit for bit. */
  dequantizeRows(weight: WeightMatrix, firstRow: number, rows: number, out: Slice): void;
  /** `out[r] = weight[ids[r]]` for `ids [rows]`; NaN for an id without a row. */
  embeddingStored(weight: WeightMatrix, ids: Slice, rows: number, out: Slice): void;
}
