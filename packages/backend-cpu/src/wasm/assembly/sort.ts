// Sorting by u64 keys: the order in the upper half, the place in the lower. Keys are unique, so that every sort is stable.

/** Ascending order of an f32 as u32: -0 as 0, NaN above infinity. */
// @ts-expect-error AssemblyScript's decorator
@inline
function orderOf(value: f32): u32 {
  if (value != value) return 0xffffffff;
  const bits = reinterpret<i32>(value + 0); // -0 + 0 = 0
  return <u32>(bits ^ ((bits >> 31) & 0x7fffffff)) ^ 0x80000000;
}

/** Bytes of scratch for sorting `count` keys, beside the keys themselves. */
export function sortScratchBytes(count: usize): usize {
  return (count << 3) + 4096;
}

/**
 * Sorts `count` keys that lie in ascending order of their lower halves; returns where the result lies: at `keys`, or in the scratch.
 */
export function sortKeyed(keys: usize, count: usize, scratch: usize): usize {
  return count <= 384 ? mergeSort(keys, count, scratch) : radixSort(keys, count, scratch);
}

/** Runs of 16 by insertion, then merged. */
function mergeSort(keys: usize, count: usize, scratch: usize): usize {
  const bytes = count << 3;
  for (let start: usize = 0; start < bytes; start += 128) {
    const first = keys + start;
    const end = keys + min(start + 128, bytes);
    for (let at = first + 8; at < end; at += 8) {
      const key = load<u64>(at);
      let to = at;
      while (to > first && load<u64>(to - 8) > key) {
        store<u64>(to, load<u64>(to - 8));
        to -= 8;
      }
      store<u64>(to, key);
    }
  }
  let from = keys;
  let to = scratch;
  for (let run: usize = 128; run < bytes; run <<= 1) {
    for (let start: usize = 0; start < bytes; start += run << 1) {
      let a = from + start;
      const aEnd = from + min(start + run, bytes);
      let b = aEnd;
      const bEnd = from + min(start + (run << 1), bytes);
      let out = to + start;
      while (a < aEnd && b < bEnd) {
        const left = load<u64>(a);
        const right = load<u64>(b);
        const takesLeft = left <= right;
        store<u64>(out, takesLeft ? left : right);
        a += takesLeft ? 8 : 0;
        b += takesLeft ? 0 : 8;
        out += 8;
      }
      if (a < aEnd) memory.copy(out, a, aEnd - a);
      if (b < bEnd) memory.copy(out, b, bEnd - b);
    }
    const held = from;
    from = to;
    to = held;
  }
  return from;
}

/** By the four bytes of the upper half, the lowest first; a byte that all keys share is passed over. */
function radixSort(keys: usize, count: usize, scratch: usize): usize {
  const bytes = count << 3;
  const counts = scratch + bytes;
  memory.fill(counts, 0, 4096);
  for (let at = keys; at < keys + bytes; at += 8) {
    const order = load<u32>(at, 4);
    increment(counts + ((order & 0xff) << 2));
    increment(counts + 1024 + (((order >> 8) & 0xff) << 2));
    increment(counts + 2048 + (((order >> 16) & 0xff) << 2));
    increment(counts + 3072 + ((order >> 24) << 2));
  }
  let from = keys;
  let to = scratch;
  for (let digit: u32 = 0; digit < 4; digit++) {
    const table = counts + (<usize>digit << 10);
    const shift = digit << 3;
    if (load<u32>(table + (<usize>((load<u32>(from, 4) >> shift) & 0xff) << 2)) == <u32>count) continue;
    let sum: u32 = 0;
    for (let at = table; at < table + 1024; at += 4) {
      const own = load<u32>(at);
      store<u32>(at, sum);
      sum += own;
    }
    for (let at = from; at < from + bytes; at += 8) {
      const key = load<u64>(at);
      const place = table + (<usize>((<u32>(key >> 32) >> shift) & 0xff) << 2);
      const rank = load<u32>(place);
      store<u32>(place, rank + 1);
      store<u64>(to + (<usize>rank << 3), key);
    }
    const held = from;
    from = to;
    to = held;
  }
  return from;
}

// @ts-expect-error AssemblyScript's decorator
@inline
function increment(at: usize): void {
  store<u32>(at, load<u32>(at) + 1);
}

/** Each row in order, with the columns that its elements came from. `scratch`: keys of a row and what sorting them needs. */
export function sortRows(
  x: usize, rows: usize, columns: usize, descending: i32, integers: i32, values: usize, indices: usize, scratch: usize,
): void {
  const flip: u32 = descending ? 0xffffffff : 0;
  const rest = scratch + (columns << 3);
  for (let r: usize = 0; r < rows; r++) {
    for (let c: usize = 0; c < columns; c++) {
      const at = x + (c << 2);
      const order = integers ? load<u32>(at) ^ 0x80000000 : orderOf(load<f32>(at));
      store<u64>(scratch + (c << 3), (<u64>(order ^ flip) << 32) | <u64>c);
    }
    const sorted = sortKeyed(scratch, columns, rest);
    for (let c: usize = 0; c < columns; c++) {
      const column = load<u32>(sorted + (c << 3));
      store<u32>(indices + (c << 2), column);
      store<u32>(values + (c << 2), load<u32>(x + (<usize>column << 2)));
    }
    x += columns << 2;
    values += columns << 2;
    indices += columns << 2;
  }
}

/** Descending order of an f32 as u32, larger first, NaN as -infinity. */
// @ts-expect-error AssemblyScript's decorator
@inline
function descendingOrder(value: f32): u32 {
  return ~orderOf(value == value ? value : -Infinity);
}

/**
 * Counts the elements `begin .. end` by the bits of their descending order at `shift` (as many as `mask` has), of those whose
 * order above these bits is `prefix`. `counts` holds `mask + 1` u32.
 */
export function countOrders(
  x: usize, begin: usize, end: usize, prefix: u32, above: u32, shift: u32, mask: u32, counts: usize,
): void {
  memory.fill(counts, 0, <usize>(mask + 1) << 2);
  for (let at = x + (begin << 2); at < x + (end << 2); at += 4) {
    const order = descendingOrder(load<f32>(at));
    // A shift by 32 would be none: above the first digit there is nothing to compare.
    if (above < 32 && order >> above != prefix) continue;
    increment(counts + (<usize>((order >> shift) & mask) << 2));
  }
}

/**
 * Keys (descending order, index) of the elements `begin .. end` whose order above `shift` is below `prefix`, and of the first
 * `equals` of those where it is `prefix`, in ascending order of index.
 */
export function collectOrders(
  x: usize, begin: usize, end: usize, prefix: u32, shift: u32, equals: u32, keys: usize,
): void {
  for (let i = begin; i < end; i++) {
    const order = descendingOrder(load<f32>(x + (i << 2)));
    const top = order >> shift;
    if (top > prefix) continue;
    if (top == prefix) {
      if (equals == 0) continue;
      equals--;
    }
    store<u64>(keys, (<u64>order << 32) | <u64>i);
    keys += 8;
  }
}

/** The elements of the first `k` keys, and their indices. */
export function keyedElements(x: usize, keys: usize, k: usize, values: usize, indices: usize): void {
  for (let e: usize = 0; e < k; e++) {
    const index = load<u32>(keys + (e << 3));
    store<u32>(indices + (e << 2), index);
    store<u32>(values + (e << 2), load<u32>(x + (<usize>index << 2)));
  }
}
