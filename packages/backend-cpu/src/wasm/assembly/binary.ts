// Two inputs broadcast over a matrix. Strides are in elements; higher ranks are loops of these on the host's side.

import { storeFirst } from "./lanes";

// Order of `BinaryOperator` in the backend contract.
const ADD = 0, DIV = 1, MAX = 2, MAX_SHARE = 3, MIN = 4, MUL = 5, SUB = 6;

/** 1 where a is larger or either is NaN, 1/2 where both are equal, else 0. */
// @ts-expect-error AssemblyScript's decorator
@inline
function share(a: v128, b: v128): v128 {
  const half = v128.and(f32x4.splat(0.5), f32x4.eq(a, b));
  return v128.andnot(f32x4.sub(f32x4.splat(1), half), f32x4.lt(a, b));
}

// @ts-expect-error AssemblyScript's decorator
@inline
function apply(operator: i32, a: v128, b: v128): v128 {
  if (operator == ADD) return f32x4.add(a, b);
  if (operator == DIV) return f32x4.div(a, b);
  if (operator == MAX) return f32x4.max(a, b);
  if (operator == MAX_SHARE) return share(a, b);
  if (operator == MIN) return f32x4.min(a, b);
  if (operator == MUL) return f32x4.mul(a, b);
  return f32x4.sub(a, b);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function row(operator: i32, a: usize, aStep: usize, b: usize, bStep: usize, out: usize, count: usize): void {
  const end = out + ((count & ~3) << 2);
  const rest = count & 3;
  if (aStep == 1 && bStep == 1) {
    const blocks = out + ((count & ~7) << 2);
    while (out < blocks) {
      v128.store(out, apply(operator, v128.load(a), v128.load(b)));
      v128.store(out, apply(operator, v128.load(a, 16), v128.load(b, 16)), 16);
      out += 32;
      a += 32;
      b += 32;
    }
    if (out < end) {
      v128.store(out, apply(operator, v128.load(a), v128.load(b)));
      out += 16;
      a += 16;
      b += 16;
    }
    if (rest) storeFirst(out, apply(operator, v128.load(a), v128.load(b)), rest);
  } else if (aStep == 1 && bStep == 0) {
    const repeated = v128.load32_splat(b);
    while (out < end) {
      v128.store(out, apply(operator, v128.load(a), repeated));
      out += 16;
      a += 16;
    }
    if (rest) storeFirst(out, apply(operator, v128.load(a), repeated), rest);
  } else if (aStep == 0 && bStep == 1) {
    const repeated = v128.load32_splat(a);
    while (out < end) {
      v128.store(out, apply(operator, repeated, v128.load(b)));
      out += 16;
      b += 16;
    }
    if (rest) storeFirst(out, apply(operator, repeated, v128.load(b)), rest);
  } else if (aStep == 0 && bStep == 0) {
    const value = apply(operator, v128.load32_splat(a), v128.load32_splat(b));
    while (out < end) {
      v128.store(out, value);
      out += 16;
    }
    if (rest) storeFirst(out, value, rest);
  } else {
    const last = out + (count << 2);
    while (out < last) {
      v128.store_lane<f32>(out, apply(operator, v128.load32_splat(a), v128.load32_splat(b)), 0);
      out += 4;
      a += aStep << 2;
      b += bStep << 2;
    }
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function matrix(
  operator: i32, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize, rows: usize, columns: usize,
): void {
  for (let r: usize = 0; r < rows; r++) {
    row(operator, a + ((r * aRow) << 2), aStep, b + ((r * bRow) << 2), bStep, out + ((r * columns) << 2), columns);
  }
}

export function binary(
  operator: i32, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize, rows: usize, columns: usize,
): void {
  if (operator == ADD) matrix(ADD, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == DIV) matrix(DIV, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == MAX) matrix(MAX, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == MAX_SHARE) matrix(MAX_SHARE, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == MIN) matrix(MIN, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == MUL) matrix(MUL, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else matrix(SUB, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
}
