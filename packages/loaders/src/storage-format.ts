import { type StoredFormat, storedFormats } from "@latentkit/core";

/**
 * How elements are stored in a file. The first group are plain numbers; the second are ggml's blocks, of which Q4_0 to Q8_K can be
 * read as floats and the rest (IQ, TQ, MXFP4) only as bytes.
 */
export type StorageFormat =
  | "BOOL"
  | "U8"
  | "I8"
  | "U16"
  | "I16"
  | "U32"
  | "I32"
  | "U64"
  | "I64"
  | "F8_E4M3"
  | "F8_E5M2"
  | "F16"
  | "BF16"
  | "F32"
  | "F64"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "Q8_K"
  | "IQ2_XXS"
  | "IQ2_XS"
  | "IQ3_XXS"
  | "IQ1_S"
  | "IQ4_NL"
  | "IQ3_S"
  | "IQ2_S"
  | "IQ4_XS"
  | "IQ1_M"
  | "TQ1_0"
  | "TQ2_0"
  | "MXFP4";

/** The format under the name by which devices keep weights as they are stored, or null for one that they do not take. */
export function storedFormatOf(format: StorageFormat): StoredFormat | null {
  const name = format.toLowerCase();
  return storedFormats.find((known) => known === name) ?? null;
}

/** Elements and bytes of one block; plain numbers are blocks of one. */
export interface BlockLayout {
  readonly elements: number;
  readonly bytes: number;
}

const layouts: Readonly<Record<StorageFormat, readonly [elements: number, bytes: number]>> = {
  BOOL: [1, 1],
  U8: [1, 1],
  I8: [1, 1],
  U16: [1, 2],
  I16: [1, 2],
  U32: [1, 4],
  I32: [1, 4],
  U64: [1, 8],
  I64: [1, 8],
  F8_E4M3: [1, 1],
  F8_E5M2: [1, 1],
  F16: [1, 2],
  BF16: [1, 2],
  F32: [1, 4],
  F64: [1, 8],
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q8_0: [32, 34],
  Q2_K: [256, 84],
  Q3_K: [256, 110],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
  Q8_K: [256, 292],
  IQ2_XXS: [256, 66],
  IQ2_XS: [256, 74],
  IQ3_XXS: [256, 98],
  IQ1_S: [256, 50],
  IQ4_NL: [32, 18],
  IQ3_S: [256, 110],
  IQ2_S: [256, 82],
  IQ4_XS: [256, 136],
  IQ1_M: [256, 56],
  TQ1_0: [256, 54],
  TQ2_0: [256, 66],
  MXFP4: [32, 17],
};

/** The block that a format is made of. */
export function blockLayout(format: StorageFormat): BlockLayout {
  const [elements, bytes] = layouts[format];
  return { elements, bytes };
}
