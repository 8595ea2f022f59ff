import { DTypeError } from "./errors.ts";

/** Element types of tensors. Quantised blocks (Q8_0, ...) are storage formats of `loaders`, not dtypes. */
export type DType = "f32" | "f16" | "bf16" | "i32" | "u8";

/** All dtypes, in the order in which they are documented. */
export const dtypes: readonly DType[] = ["f32", "f16", "bf16", "i32", "u8"];

const bytes: Readonly<Record<DType, number>> = { f32: 4, f16: 2, bf16: 2, i32: 4, u8: 1 };

/** Bytes that one element takes. */
export function bytesPerElement(dtype: DType): number {
  return bytes[dtype];
}

/** Parses a dtype's name; throws {@link DTypeError} naming the ones that are known. */
export function parseDType(name: string, where?: string): DType {
  const found = dtypes.find((dtype) => dtype === name);
  if (found !== undefined) return found;
  throw new DTypeError({
    code: "DTYPE_UNKNOWN",
    message: `dtype "${name}" is not one of ${dtypes.join(", ")}`,
    fix: "use one of the listed dtypes",
    where,
  });
}
