// The k largest of each row. A cheap lower bound of the k-th largest filters most elements out, the rest is selected exactly.
//
// The bound: the row is dealt out to groups; the k-th largest of the groups' maxima is at most the k-th largest element, since
// k elements (those maxima) reach it. Element i belongs to group i modulo the number of groups, so that maxima are taken
// vector by vector. Candidates are then ordered by one u64 each, (descending value, ascending index), so that
// ties, and NaN as -infinity, need no further thought.

/** Order of an f32 as u32, larger first: NaN as -infinity, -0 as 0. */
// @ts-expect-error AssemblyScript's decorator
@inline
function descendingKey(value: f32): u32 {
  if (value != value) value = -Infinity;
  const bits = reinterpret<i32>(value + 0); // -0 + 0 = 0
  return ~((<u32>(bits ^ ((bits >> 31) & 0x7fffffff))) ^ 0x80000000);
}

/** Rearranges `keys` so that the k smallest come first (Hoare's selection, median of three). */
function selectSmallest(keys: usize, count: i32, k: i32): void {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    let a = load<u64>(keys + (<usize>low << 3));
    let b = load<u64>(keys + (<usize>middle << 3));
    const c = load<u64>(keys + (<usize>high << 3));
    if (a > b) { const held = a; a = b; b = held; }
    if (b > c) b = c;
    const pivot = max(a, b);
    let i = low;
    let j = high;
    while (i <= j) {
      while (load<u64>(keys + (<usize>i << 3)) < pivot) i++;
      while (load<u64>(keys + (<usize>j << 3)) > pivot) j--;
      if (i <= j) {
        const left = load<u64>(keys + (<usize>i << 3));
        store<u64>(keys + (<usize>i << 3), load<u64>(keys + (<usize>j << 3)));
        store<u64>(keys + (<usize>j << 3), left);
        i++;
        j--;
      }
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else return;
  }
}

/** Ascending heap sort of `count` u64. */
function sortKeys(keys: usize, count: i32): void {
  for (let start = (count >> 1) - 1; start >= 0; start--) siftDown(keys, start, count);
  for (let end = count - 1; end > 0; end--) {
    const top = load<u64>(keys);
    store<u64>(keys, load<u64>(keys + (<usize>end << 3)));
    store<u64>(keys + (<usize>end << 3), top);
    siftDown(keys, 0, end);
  }
}

function siftDown(keys: usize, root: i32, count: i32): void {
  const value = load<u64>(keys + (<usize>root << 3));
  for (;;) {
    let child = 2 * root + 1;
    if (child >= count) break;
    if (child + 1 < count && load<u64>(keys + (<usize>(child + 1) << 3)) > load<u64>(keys + (<usize>child << 3))) child++;
    const larger = load<u64>(keys + (<usize>child << 3));
    if (larger <= value) break;
    store<u64>(keys + (<usize>root << 3), larger);
    root = child;
  }
  store<u64>(keys + (<usize>root << 3), value);
}

/** The k-th largest of `count` numbers, none of them NaN; rearranges them (Hoare's selection). */
function kthLargest(values: usize, count: i32, k: i32): f32 {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const a = load<f32>(values + (<usize>low << 2));
    const b = load<f32>(values + (<usize>((low + high) >>> 1) << 2));
    const c = load<f32>(values + (<usize>high << 2));
    const pivot = max(min(a, b), min(max(a, b), c));
    let i = low;
    let j = high;
    while (i <= j) {
      while (load<f32>(values + (<usize>i << 2)) > pivot) i++;
      while (load<f32>(values + (<usize>j << 2)) < pivot) j--;
      if (i <= j) {
        const left = load<f32>(values + (<usize>i << 2));
        store<f32>(values + (<usize>i << 2), load<f32>(values + (<usize>j << 2)));
        store<f32>(values + (<usize>j << 2), left);
        i++;
        j--;
      }
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else break;
  }
  return load<f32>(values + (<usize>(k - 1) << 2));
}

/** Number of groups: about four for each element wanted, a multiple of 16, at most a fourth of the row. */
// @ts-expect-error AssemblyScript's decorator
@inline
function groupCount(columns: i32, k: i32): i32 {
  return min((4 * k + 15) & ~15, (columns / 4) & ~15);
}

/** Bytes of scratch that a selection among `columns` needs: candidates, their copy, the groups' maxima. */
export function selectScratchBytes(columns: i32): usize {
  return (<usize>columns << 4) + <usize>columns + 64;
}

/**
 * Candidates of one row, by ascending index, at `keys`; returns how many. `mask` points to i32 (all bits set or none), or is 0.
 */
function candidates(x: usize, columns: i32, k: i32, mask: usize, keys: usize, groups: usize): i32 {
  const groupTotal = groupCount(columns, k);
  let bound: f32 = -Infinity;
  if (groupTotal >= k) {
    const bytes = <usize>groupTotal << 2;
    const nothing = f32x4.splat(-Infinity);
    for (let at: usize = 0; at < bytes; at += 16) v128.store(groups + at, nothing);
    const whole = x + (<usize>(columns - (columns % groupTotal)) << 2);
    let m = mask;
    for (let from = x; from < whole; from += bytes) {
      // pmax keeps its first operand against a NaN, so that NaN counts as -infinity.
      if (mask == 0) {
        for (let at: usize = 0; at < bytes; at += 64) {
          const to = groups + at;
          const v = from + at;
          v128.store(to, f32x4.pmax(v128.load(to), v128.load(v)));
          v128.store(to, f32x4.pmax(v128.load(to, 16), v128.load(v, 16)), 16);
          v128.store(to, f32x4.pmax(v128.load(to, 32), v128.load(v, 32)), 32);
          v128.store(to, f32x4.pmax(v128.load(to, 48), v128.load(v, 48)), 48);
        }
      } else {
        for (let at: usize = 0; at < bytes; at += 16) {
          const to = groups + at;
          v128.store(to, f32x4.pmax(v128.load(to), v128.bitselect(v128.load(from + at), nothing, v128.load(m + at))));
        }
        m += bytes;
      }
    }
    bound = kthLargest(groups, groupTotal, k);
  }
  if (bound == -Infinity) return everything(x, columns, mask, keys);
  let count = 0;
  const limit = f32x4.splat(bound);
  let i = 0;
  for (; i + 16 <= columns; i += 16) {
    const at = x + (<usize>i << 2);
    const c0 = f32x4.ge(v128.load(at), limit);
    const c1 = f32x4.ge(v128.load(at, 16), limit);
    const c2 = f32x4.ge(v128.load(at, 32), limit);
    const c3 = f32x4.ge(v128.load(at, 48), limit);
    if (!v128.any_true(v128.or(v128.or(c0, c1), v128.or(c2, c3)))) continue;
    let bits = i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(c0, c1), i16x8.narrow_i32x4_s(c2, c3)));
    while (bits != 0) {
      const index = i + ctz(bits);
      bits &= bits - 1;
      if (mask != 0 && load<i32>(mask + (<usize>index << 2)) == 0) continue;
      store<u64>(keys + (<usize>count << 3), ((<u64>descendingKey(load<f32>(x + (<usize>index << 2)))) << 32) | <u64>index);
      count++;
    }
  }
  for (; i < columns; i++) {
    const value = load<f32>(x + (<usize>i << 2));
    if (!(value >= bound) || (mask != 0 && load<i32>(mask + (<usize>i << 2)) == 0)) continue;
    store<u64>(keys + (<usize>count << 3), ((<u64>descendingKey(value)) << 32) | <u64>i);
    count++;
  }
  return count;
}

function everything(x: usize, columns: i32, mask: usize, keys: usize): i32 {
  let count = 0;
  for (let i = 0; i < columns; i++) {
    if (mask != 0 && load<i32>(mask + (<usize>i << 2)) == 0) continue;
    store<u64>(keys + (<usize>count << 3), ((<u64>descendingKey(load<f32>(x + (<usize>i << 2)))) << 32) | <u64>i);
    count++;
  }
  return count;
}

/** Each row's k largest in descending order. */
export function topKRows(x: usize, rows: usize, columns: i32, k: i32, values: usize, indices: usize, scratch: usize): void {
  const keys = scratch;
  const groups = scratch + (<usize>columns << 4);
  for (let r: usize = 0; r < rows; r++) {
    const count = candidates(x, columns, k, 0, keys, groups);
    selectSmallest(keys, count, k);
    sortKeys(keys, k);
    for (let e = 0; e < k; e++) {
      const index = <usize>(<u32>load<u64>(keys + (<usize>e << 3)));
      store<f32>(values, load<f32>(x + (index << 2)));
      store<i32>(indices, <i32>index);
      values += 4;
      indices += 4;
    }
    x += <usize>columns << 2;
  }
}

/** Turns `allowed` (i32, non-zero for yes) into all bits or none. Returns how many are allowed. */
export function selectionMask(allowed: usize, columns: usize, mask: usize): i32 {
  let count = 0;
  for (let i: usize = 0; i < columns; i++) {
    const yes = load<i32>(allowed + (i << 2)) != 0;
    store<i32>(mask + (i << 2), yes ? -1 : 0);
    count += <i32>yes;
  }
  return count;
}

/** Each row's k largest (of those in the mask) by ascending index, then ReLU. `counts` = k; k is at most the mask's size. */
export function sparsifyTopK(
  pre: usize, rows: usize, columns: i32, k: i32, capacity: usize, mask: usize, counts: usize, indices: usize, values: usize, scratch: usize,
): void {
  const keys = scratch;
  const copy = scratch + (<usize>columns << 3);
  const groups = scratch + (<usize>columns << 4);
  for (let r: usize = 0; r < rows; r++) {
    store<i32>(counts + (r << 2), k);
    if (k > 0) {
      const count = candidates(pre, columns, k, mask, keys, groups);
      let last = u64.MAX_VALUE;
      if (count > k) {
        memory.copy(copy, keys, <usize>count << 3);
        selectSmallest(copy, count, k);
        last = 0;
        for (let e = 0; e < k; e++) last = max(last, load<u64>(copy + (<usize>e << 3)));
      }
      let place: usize = 0;
      for (let e = 0; e < count; e++) {
        const key = load<u64>(keys + (<usize>e << 3));
        if (key > last) continue;
        const index = <usize>(<u32>key);
        store<i32>(indices + (place << 2), <i32>index);
        store<f32>(values + (place << 2), max<f32>(load<f32>(pre + (index << 2)), 0));
        place++;
      }
    }
    pre += <usize>columns << 2;
    indices += capacity << 2;
    values += capacity << 2;
  }
}
