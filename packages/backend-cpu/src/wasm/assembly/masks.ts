// Masks: one byte for each element, 0 or 1; any byte but 0 reads as true. Two inputs are broadcast over a matrix as in binary.ts.

// Order of `CompareOperator` in the backend contract.
const EQUAL = 0, LESS = 1, LESS_EQUAL = 2;
// Order of `LogicalOperator`.
const AND = 0, OR = 1;

// @ts-expect-error AssemblyScript's decorator
@inline
function compareFloats(operator: i32, a: v128, b: v128): v128 {
  if (operator == EQUAL) return f32x4.eq(a, b);
  if (operator == LESS) return f32x4.lt(a, b);
  if (operator == LESS_EQUAL) return f32x4.le(a, b);
  return f32x4.ne(a, b);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function compareIntegers(operator: i32, a: v128, b: v128): v128 {
  if (operator == EQUAL) return i32x4.eq(a, b);
  if (operator == LESS) return i32x4.lt_s(a, b);
  if (operator == LESS_EQUAL) return i32x4.le_s(a, b);
  return i32x4.ne(a, b);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function compareLanes(operator: i32, integers: bool, a: v128, b: v128): v128 {
  return integers ? compareIntegers(operator, a, b) : compareFloats(operator, a, b);
}

/** Four lanes by a step of 0 (repeated), 1 or any other. */
// @ts-expect-error AssemblyScript's decorator
@inline
function loadLanes(x: usize, step: usize): v128 {
  if (step == 1) return v128.load(x);
  let v = v128.load32_splat(x);
  if (step != 0) {
    v = v128.load_lane<u32>(x + (step << 2), v, 1);
    v = v128.load_lane<u32>(x + (step << 3), v, 2);
    v = v128.load_lane<u32>(x + step * 12, v, 3);
  }
  return v;
}

// @ts-expect-error AssemblyScript's decorator
@inline
function compareRow(operator: i32, integers: bool, a: usize, aStep: usize, b: usize, bStep: usize, out: usize, count: usize): void {
  let i: usize = 0;
  for (; i + 16 <= count; i += 16) {
    const left = a + ((i * aStep) << 2);
    const right = b + ((i * bStep) << 2);
    const aNext = aStep << 4;
    const bNext = bStep << 4;
    const m0 = compareLanes(operator, integers, loadLanes(left, aStep), loadLanes(right, bStep));
    const m1 = compareLanes(operator, integers, loadLanes(left + aNext, aStep), loadLanes(right + bNext, bStep));
    const m2 = compareLanes(operator, integers, loadLanes(left + 2 * aNext, aStep), loadLanes(right + 2 * bNext, bStep));
    const m3 = compareLanes(operator, integers, loadLanes(left + 3 * aNext, aStep), loadLanes(right + 3 * bNext, bStep));
    const bytes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(m0, m1), i16x8.narrow_i32x4_s(m2, m3));
    v128.store(out + i, v128.and(bytes, i8x16.splat(1)));
  }
  for (; i < count; i++) {
    const left = v128.load32_splat(a + ((i * aStep) << 2));
    const right = v128.load32_splat(b + ((i * bStep) << 2));
    store<u8>(out + i, <u8>(i32x4.extract_lane(compareLanes(operator, integers, left, right), 0) & 1));
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function compareMatrix(
  operator: i32, integers: bool, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize, rows: usize,
  columns: usize,
): void {
  for (let r: usize = 0; r < rows; r++) {
    compareRow(operator, integers, a + ((r * aRow) << 2), aStep, b + ((r * bRow) << 2), bStep, out + r * columns, columns);
  }
}

export function compareF32(
  operator: i32, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize, rows: usize, columns: usize,
): void {
  if (operator == EQUAL) compareMatrix(EQUAL, false, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == LESS) compareMatrix(LESS, false, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == LESS_EQUAL) compareMatrix(LESS_EQUAL, false, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else compareMatrix(3, false, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
}

export function compareI32(
  operator: i32, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize, rows: usize, columns: usize,
): void {
  if (operator == EQUAL) compareMatrix(EQUAL, true, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == LESS) compareMatrix(LESS, true, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else if (operator == LESS_EQUAL) compareMatrix(LESS_EQUAL, true, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
  else compareMatrix(3, true, a, aRow, aStep, b, bRow, bStep, out, rows, columns);
}

/** Bytes, and masks with the operators from 4: and, or, exclusive or. */
// @ts-expect-error AssemblyScript's decorator
@inline
function bytesRow(operator: i32, a: usize, aStep: usize, b: usize, bStep: usize, out: usize, count: usize): void {
  for (let i: usize = 0; i < count; i++) {
    const left = load<u8>(a + i * aStep);
    const right = load<u8>(b + i * bStep);
    let result: bool;
    if (operator == EQUAL) result = left == right;
    else if (operator == LESS) result = left < right;
    else if (operator == LESS_EQUAL) result = left <= right;
    else if (operator == 3) result = left != right;
    else if (operator == 4 + AND) result = ((left != 0) & (right != 0)) != 0;
    else if (operator == 4 + OR) result = (left | right) != 0;
    else result = (left != 0) != (right != 0);
    store<u8>(out + i, <u8>result);
  }
}

export function compareU8(
  operator: i32, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize, rows: usize, columns: usize,
): void {
  for (let r: usize = 0; r < rows; r++) bytesRow(operator, a + r * aRow, aStep, b + r * bRow, bStep, out + r * columns, columns);
}

export function logical(
  operator: i32, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize, rows: usize, columns: usize,
): void {
  for (let r: usize = 0; r < rows; r++) bytesRow(4 + operator, a + r * aRow, aStep, b + r * bRow, bStep, out + r * columns, columns);
}

/** out = condition ? a : b, of 4-byte elements. */
export function select(
  condition: usize, cRow: usize, cStep: usize, a: usize, aRow: usize, aStep: usize, b: usize, bRow: usize, bStep: usize, out: usize,
  rows: usize, columns: usize,
): void {
  for (let r: usize = 0; r < rows; r++) {
    const mask = condition + r * cRow;
    const left = a + ((r * aRow) << 2);
    const right = b + ((r * bRow) << 2);
    const to = out + ((r * columns) << 2);
    let i: usize = 0;
    if (cStep <= 1 && aStep <= 1 && bStep <= 1) {
      for (; i + 4 <= columns; i += 4) {
        const bytes = cStep == 1 ? v128.load32_zero(mask + i) : v128.load8_splat(mask);
        const lanes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes));
        const chosen = v128.bitselect(
          loadLanes(left + ((i * aStep) << 2), aStep),
          loadLanes(right + ((i * bStep) << 2), bStep),
          i32x4.ne(lanes, i32x4.splat(0)),
        );
        v128.store(to + (i << 2), chosen);
      }
    }
    for (; i < columns; i++) {
      const chosen = load<u8>(mask + i * cStep) != 0 ? left + ((i * aStep) << 2) : right + ((i * bStep) << 2);
      store<u32>(to + (i << 2), load<u32>(chosen));
    }
  }
}

/** A number is finite unless all bits of its exponent are 1. */
// @ts-expect-error AssemblyScript's decorator
@inline
function notFinite(x: v128): v128 {
  const exponent = i32x4.splat(0x7f800000);
  return i32x4.eq(v128.and(x, exponent), exponent);
}

export function isFiniteMask(x: usize, out: usize, count: usize): void {
  const end = out + count;
  for (; out + 4 <= end; out += 4) {
    const lanes = v128.andnot(i32x4.splat(1), notFinite(v128.load(x)));
    const words = i16x8.narrow_i32x4_s(lanes, lanes);
    v128.store_lane<u32>(out, i8x16.narrow_i16x8_s(words, words), 0);
    x += 16;
  }
  for (; out < end; out++) {
    store<u8>(out, <u8>(isFinite(load<f32>(x)) ? 1 : 0));
    x += 4;
  }
}

/** How many elements are infinite or NaN, written to `out` (i32). */
export function countNonFinite(x: usize, count: usize, out: usize): void {
  let total = i32x4.splat(0);
  const end = x + (count << 2);
  for (; x + 16 <= end; x += 16) total = i32x4.sub(total, notFinite(v128.load(x)));
  let sum =
    i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3);
  for (; x < end; x += 4) if (!isFinite(load<f32>(x))) sum++;
  store<i32>(out, sum);
}

export function sumI32(x: usize, count: usize, out: usize): void {
  let sum: i32 = 0;
  for (const end = x + (count << 2); x < end; x += 4) sum += load<i32>(x);
  store<i32>(out, sum);
}

/** Whether any byte, or each, of [outer, axis, inner] down the axis is not 0. */
export function reduceMask(all: i32, x: usize, outer: usize, axis: usize, inner: usize, out: usize): void {
  for (let o: usize = 0; o < outer; o++) {
    for (let i: usize = 0; i < inner; i++) {
      const at = x + o * axis * inner + i;
      let found = false;
      // One that is 0 decides "all", one that is not decides "any".
      for (let a: usize = 0; a < axis && !found; a++) found = (load<u8>(at + a * inner) != 0) != (all != 0);
      store<u8>(out + o * inner + i, <u8>((found ? 1 : 0) ^ all));
    }
  }
}
