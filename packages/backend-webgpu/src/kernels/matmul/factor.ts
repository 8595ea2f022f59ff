import type { Slice } from "@latentkit/tensor";

/** Text of the f32 that an element of an operand is: of f32, or of f16, whose bits are widened exactly. */
export function loaded(name: string, { dtype }: Pick<Slice, "dtype">, at: string): string {
  return dtype === "f16" ? `bitcast<f32>(widen_f16(load_${name}(${at})))` : `load_${name}(${at})`;
}

/** Text of an element of a factor, `a` by [row, inner] or `b` by [inner, column], of the batch entry at `NAME_batch`. */
export function factorAt(
  name: "a" | "b",
  slice: Slice,
  transposed: boolean,
  [first, second]: readonly [string, string],
): string {
  const stride = name === "a" ? "p.rowStrideA" : "p.rowStrideB";
  const [major, minor] = transposed ? [second, first] : [first, second];
  return loaded(name, slice, `${name}_batch + (${major}) * ${stride} + ${minor}`);
}
