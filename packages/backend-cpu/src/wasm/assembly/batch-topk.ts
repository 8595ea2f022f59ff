// BatchTopK: the n largest elements of a whole matrix. Rows are cut into groups of neighbours; the n-th largest of the groups'
// maxima is a lower bound of the n-th largest element, since n elements (those maxima) reach it, and a group whose maximum is
// below it holds nothing that is kept. So the matrix is read once, and then only where something may be.
//
// "Equal" to a bound of -infinity is all that is not above it: NaN counts as -infinity.

/** Order of an f32 as u32, larger first: NaN as -infinity, -0 as 0. */
// @ts-expect-error AssemblyScript's decorator
@inline
function descendingKey(value: f32): u32 {
  if (value != value) value = -Infinity;
  const bits = reinterpret<i32>(value + 0); // -0 + 0 = 0
  return ~((<u32>(bits ^ ((bits >> 31) & 0x7fffffff))) ^ 0x80000000);
}

/** The reverse of {@link descendingKey}. */
// @ts-expect-error AssemblyScript's decorator
@inline
function valueOf(key: u32): f32 {
  const bits = <i32>(~key ^ 0x80000000);
  return reinterpret<f32>(bits ^ ((bits >> 31) & 0x7fffffff));
}

// @ts-expect-error AssemblyScript's decorator
@inline
function groupsOf(columns: usize, group: usize): usize {
  return (columns + group - 1) / group;
}

/** Maxima of groups of `group` neighbours (a multiple of 16) of each row, as keys: u32 [rows, groups]. */
export function groupMaxima(x: usize, rows: usize, columns: usize, group: usize, keys: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const end = x + (columns << 2);
    while (x < end) {
      const last = min(x + (group << 2), end);
      let m0 = f32x4.splat(-Infinity);
      let m1 = m0, m2 = m0, m3 = m0;
      // pmax keeps its first operand against a NaN.
      for (; x + 64 <= last; x += 64) {
        m0 = f32x4.pmax(m0, v128.load(x));
        m1 = f32x4.pmax(m1, v128.load(x, 16));
        m2 = f32x4.pmax(m2, v128.load(x, 32));
        m3 = f32x4.pmax(m3, v128.load(x, 48));
      }
      m0 = f32x4.max(f32x4.max(m0, m1), f32x4.max(m2, m3));
      let best = max(
        max(f32x4.extract_lane(m0, 0), f32x4.extract_lane(m0, 1)),
        max(f32x4.extract_lane(m0, 2), f32x4.extract_lane(m0, 3)),
      );
      for (; x < last; x += 4) {
        const value = load<f32>(x);
        if (value > best) best = value;
      }
      store<u32>(keys, descendingKey(best));
      keys += 4;
    }
  }
}

/** The n-th smallest (from 1) of `count` keys, by three rounds of counting; `histogram` has room for 2048 i32. Rearranges nothing. */
export function nthKey(keys: usize, count: usize, n: usize, histogram: usize): u32 {
  let prefix: u32 = 0;
  let rest = n;
  for (let round: u32 = 0; round < 3; round++) {
    const shift: u32 = round == 0 ? 21 : round == 1 ? 10 : 0;
    const mask: u32 = round == 2 ? 1023 : 2047;
    memory.fill(histogram, 0, 2048 * 4);
    const end = keys + (count << 2);
    for (let at = keys; at < end; at += 4) {
      const key = load<u32>(at);
      // The bits above this round's must be the ones found so far.
      if (round != 0 && ((key ^ prefix) >> (round == 1 ? 21 : 10)) != 0) continue;
      const to = histogram + (<usize>((key >> shift) & mask) << 2);
      store<u32>(to, load<u32>(to) + 1);
    }
    let bucket: u32 = 0;
    for (;;) {
      const own = <usize>load<u32>(histogram + (<usize>bucket << 2));
      if (rest <= own) break;
      rest -= own;
      bucket++;
    }
    prefix |= bucket << shift;
  }
  return prefix;
}

/** The number that a key stands for. */
export function keyValue(key: u32): f32 {
  return valueOf(key);
}

/** How many elements of each row are above `bound`, and how many equal it: i32 [rows] both. */
export function countAbove(
  x: usize, rows: usize, columns: usize, group: usize, maxima: usize, bound: f32, above: usize, equal: usize,
): void {
  const groups = groupsOf(columns, group);
  const boundKey = descendingKey(bound);
  const lowest = bound == -Infinity;
  for (let r: usize = 0; r < rows; r++) {
    let more = 0;
    let same = 0;
    for (let g: usize = 0; g < groups; g++) {
      if (load<u32>(maxima + (g << 2)) > boundKey) continue;
      const begin = g * group;
      const end = min(begin + group, columns);
      for (let i = begin; i < end; i++) {
        const value = load<f32>(x + (i << 2));
        if (value > bound) more++;
        else if (lowest || value == bound) same++;
      }
    }
    store<i32>(above + (r << 2), more);
    store<i32>(equal + (r << 2), same);
    x += columns << 2;
    maxima += groups << 2;
  }
}

/** Keys of the elements above `bound`, row by row. `starts` i32 [rows]: the place of each row's first. */
export function collectAbove(
  x: usize, rows: usize, columns: usize, group: usize, maxima: usize, bound: f32, starts: usize, keys: usize,
): void {
  const groups = groupsOf(columns, group);
  const boundKey = descendingKey(bound);
  for (let r: usize = 0; r < rows; r++) {
    let to = keys + (<usize>load<i32>(starts + (r << 2)) << 2);
    for (let g: usize = 0; g < groups; g++) {
      if (load<u32>(maxima + (g << 2)) >= boundKey) continue;
      const begin = g * group;
      const end = min(begin + group, columns);
      for (let i = begin; i < end; i++) {
        const value = load<f32>(x + (i << 2));
        if (!(value > bound)) continue;
        store<u32>(to, descendingKey(value));
        to += 4;
      }
    }
    x += columns << 2;
    maxima += groups << 2;
  }
}

/** How many keys of each row are below `cut` (their elements above its), and how many equal it. `starts` i32 [rows + 1]. */
export function countKeys(keys: usize, starts: usize, rows: usize, cut: u32, above: usize, equal: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let more = 0;
    let same = 0;
    const end = keys + (<usize>load<i32>(starts + (r << 2), 4) << 2);
    for (let at = keys + (<usize>load<i32>(starts + (r << 2)) << 2); at < end; at += 4) {
      const key = load<u32>(at);
      more += <i32>(key < cut);
      same += <i32>(key == cut);
    }
    store<i32>(above + (r << 2), more);
    store<i32>(equal + (r << 2), same);
  }
}

/** Writes i32 prefix sums of `counts`: `starts` [rows + 1]. Returns the sum. */
export function prefixSums(counts: usize, rows: usize, starts: usize): u32 {
  let total: u32 = 0;
  for (let r: usize = 0; r < rows; r++) {
    store<u32>(starts + (r << 2), total);
    total += load<u32>(counts + (r << 2));
  }
  store<u32>(starts + (rows << 2), total);
  return total;
}

/** Hands `total` out to the rows in their order, to each at most what `equal` has, which becomes what it gets. */
export function shareOut(equal: usize, rows: usize, total: i32): void {
  for (let r: usize = 0; r < rows; r++) {
    const own = min(load<i32>(equal + (r << 2)), total);
    store<i32>(equal + (r << 2), own);
    total -= own;
  }
}

/** Keeps of each row the elements above `cut` and the first `equal[row]` of those that equal it, then ReLU. */
export function keepAbove(
  x: usize, rows: usize, columns: usize, group: usize, maxima: usize, cut: f32, equal: usize, capacity: i32,
  counts: usize, indices: usize, values: usize,
): void {
  const groups = groupsOf(columns, group);
  const cutKey = descendingKey(cut);
  const lowest = cut == -Infinity;
  for (let r: usize = 0; r < rows; r++) {
    let count = 0;
    let ties = load<i32>(equal + (r << 2));
    for (let g: usize = 0; g < groups; g++) {
      if (load<u32>(maxima + (g << 2)) > cutKey) continue;
      const begin = g * group;
      const end = min(begin + group, columns);
      for (let i = begin; i < end; i++) {
        const value = load<f32>(x + (i << 2));
        if (!(value > cut)) {
          if (ties == 0 || !(lowest || value == cut)) continue;
          ties--;
        }
        if (count < capacity) {
          const at = <usize>count << 2;
          store<i32>(indices + at, <i32>i);
          store<f32>(values + at, max<f32>(value, 0));
        }
        count++;
      }
    }
    store<i32>(counts + (r << 2), count);
    x += columns << 2;
    maxima += groups << 2;
    indices += <usize>capacity << 2;
    values += <usize>capacity << 2;
  }
}
