import type { Slice } from "@latentkit/tensor";
import { atomic, raw, read, write } from "../issue/operands.ts";
import { type Runtime, u32 } from "../runtime.ts";

// The k largest by radix selection: the keys' bits are fixed from the top, 8 at a time, by histograms of those that match so far.

/** Text of a key that is larger for larger floats; NaN counts as -infinity. */
export const selectionKey = /* wgsl */ `
fn selection_key(x: f32) -> u32 {
  if (is_nan(x)) { return 0x007fffffu; }
  return order_of(x);
}
// What a key adds to two counts of 16 bits: of keys above the threshold, and of those that equal it.
fn flags_of(key: u32, threshold: u32) -> u32 {
  return select(select(0u, 0x10000u, key == threshold), 1u, key > threshold);
}`;

/** Neighbours that an invocation looks through before places are given out across a workgroup. */
export const runLength = 16;

/**
 * Text that finds, in a workgroup of 256, the bin of a histogram in which the k-th largest lies: the invocation of that bin has
 * `above < wanted && wanted <= above + own`. `load` reads a bin.
 */
const findBin = (load: (bin: string) => string): string => /* wgsl */ `
    let own = ${load("lane")};
    var above = 0u;
    for (var bin = 255u; bin > lane; bin--) { above += ${load("bin")}; }`;

/** What a workgroup does with the elements of a row that it keeps, in ascending order of their columns. */
export interface RowSelection {
  readonly name: string;
  readonly x: Slice;
  readonly rows: number;
  readonly width: number;
  readonly k: number;
  /** i32 `[width]`, 0 for columns that are left out; null for none. */
  readonly allowed: Slice | null;
  readonly operands: Parameters<Runtime["issue"]>[0]["operands"];
  readonly parameters?: Parameters<Runtime["issue"]>[0]["parameters"];
  /** Statements for a kept element: its `place` among the kept, `column`, `at` in x, `key`. */
  readonly keep: string;
  /** Statements for the first invocation at the end, `kept` elements having been kept. */
  readonly finish?: string | undefined;
}

/** Selects in each row, a workgroup to a row: 4 passes for the threshold and one that keeps. Of equals the lower columns are kept. */
export function selectRows(runtime: Runtime, selection: RowSelection): void {
  const { name, x, rows, width, k, allowed, operands, keep, finish = "" } = selection;
  runtime.issue({
    name: `selectRows:${name}`,
    operands: { x: read(x), allowed: allowed === null ? null : read(allowed), ...operands },
    parameters: { width: u32(width), k: u32(k), ...selection.parameters },
    groups: rows,
    body: () => `${selectionKey}
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> found_bin: u32;
var<workgroup> found_left: u32;
fn counts(column: u32) -> bool { return ${allowed === null ? "true" : "load_allowed(column) != 0"}; }
fn run(group: u32, lane: u32) {
  let start = group * p.width;
  ${
    allowed === null
      ? "let k = p.k;"
      : `var possible = 0u;
  for (var column = lane; column < p.width; column += LANES) { possible += u32(counts(column)); }
  let k = min(p.k, group_count(lane, possible));`
  }
  var prefix = 0u;
  var wanted = k;
  for (var turn = 0u; turn < opaque(4u); turn++) {
    let shift = 24u - 8u * turn;
    atomicStore(&bins[lane], 0u);
    workgroupBarrier();
    for (var column = lane; column < p.width; column += LANES) {
      let key = selection_key(load_x(start + column));
      // The bits above are those found so far; at first there are none.
      if (counts(column) && (turn == 0u || (key >> (shift + 8u)) == prefix)) {
        atomicAdd(&bins[(key >> shift) & 255u], 1u);
      }
    }
    workgroupBarrier();
${findBin((bin) => `atomicLoad(&bins[${bin}])`)}
    if (above < wanted && wanted <= above + own) {
      found_bin = lane;
      found_left = wanted - above;
    }
    workgroupBarrier();
    prefix = (prefix << 8u) | found_bin;
    wanted = found_left;
  }
  // Keys above the threshold are kept, and as many equal ones as are wanted.
  var kept = 0u;
  var equals_seen = 0u;
  for (var base = 0u; base < p.width; base += LANES * ${runLength}u) {
    let first = base + lane * ${runLength}u;
    let end = min(p.width, first + ${runLength}u);
    var own = 0u;
    for (var column = first; column < end; column++) {
      if (k > 0u && counts(column)) { own += flags_of(selection_key(load_x(start + column)), prefix); }
    }
    let before = group_places(lane, own);
    var equals_before = equals_seen + (before.x >> 16u);
    var place = kept + (before.x & 0xffffu) + min(equals_before, wanted) - min(equals_seen, wanted);
    for (var column = first; column < end; column++) {
      if (k == 0u || !counts(column)) { continue; }
      let at = start + column;
      let key = selection_key(load_x(at));
      let flags = flags_of(key, prefix);
      if (flags == 1u || (flags == 0x10000u && equals_before < wanted)) {
        ${keep}
        place++;
      }
      equals_before += flags >> 16u;
    }
    let equals_after = equals_seen + (before.y >> 16u);
    kept += (before.y & 0xffffu) + min(equals_after, wanted) - min(equals_seen, wanted);
    equals_seen = equals_after;
  }
  if (lane == 0u) { ${finish} }
}`,
  });
}

/** Where the k-th largest of many elements lies: i32 `[2 + 256]`: its key, how many equal ones are kept, and a histogram. */
const stateLength = 258;

/** What is done with the elements that are kept of `chunks` chunks of `width`. */
export interface GlobalSelection {
  readonly name: string;
  readonly x: Slice;
  readonly length: number;
  readonly width: number;
  readonly k: number;
  readonly operands: Parameters<Runtime["issue"]>[0]["operands"];
  readonly parameters?: Parameters<Runtime["issue"]>[0]["parameters"];
  /** Statements for a kept element: its `place` among all, `inChunk` among those of its chunk, `column`, `at`, `key`. */
  readonly keep: string;
  /** Statements for the first invocation of a chunk at the end: `kept` of it. */
  readonly finish?: string | undefined;
}

/**
 * Selects the k largest of all elements, the first ones of equals, in 4 passes for the threshold, one that counts and one that keeps;
 * all are spread over the device.
 */
export function selectAll(runtime: Runtime, selection: GlobalSelection): void {
  const { name, x, length, width, k, operands, keep, finish = "" } = selection;
  const chunks = Math.ceil(length / width);
  runtime.withScratch(
    [
      ["i32", stateLength],
      ["i32", 2 * chunks],
    ],
    (state, counts) => {
      for (const shift of [24, 16, 8, 0]) {
        runtime.issue({
          name: "selectAll:clear",
          operands: { state: raw(write(state)) },
          parameters: { k: u32(k), first: u32(Number(shift === 24)) },
          groups: 1,
          body: () => `
fn run(group: u32, lane: u32) {
  store_state(2u + lane, 0u);
  if (lane == 0u && p.first == 1u) {
    store_state(0u, 0u);
    store_state(1u, p.k);
  }
}`,
        });
        runtime.issue({
          name: "selectAll:histogram",
          operands: { x: read(x), state: atomic(state) },
          parameters: { length: u32(length), shift: u32(shift) },
          groups: Math.ceil(length / 4096),
          body: () => `${selectionKey}
var<workgroup> bins: array<atomic<u32>, 256>;
fn run(group: u32, lane: u32) {
  let prefix = load_state(0u);
  let end = min(p.length, (group + 1u) * 4096u);
  for (var i = group * 4096u + lane; i < end; i += LANES) {
    let key = selection_key(load_x(i));
    if (p.shift == 24u || (key >> (p.shift + 8u)) == prefix) { atomicAdd(&bins[(key >> p.shift) & 255u], 1u); }
  }
  workgroupBarrier();
  let own = atomicLoad(&bins[lane]);
  if (own > 0u) { atomicAddWord_state(p.at_state + 2u + lane, own); }
}`,
        });
        runtime.issue({
          name: "selectAll:bin",
          operands: { state: raw(write(state)) },
          groups: 1,
          body: () => `
fn run(group: u32, lane: u32) {
  let wanted = load_state(1u);
  let prefix = load_state(0u);
${findBin((bin) => `load_state(2u + ${bin})`)}
  workgroupBarrier();
  if (above < wanted && wanted <= above + own) {
    store_state(0u, (prefix << 8u) | lane);
    store_state(1u, wanted - above);
  }
}`,
        });
      }
      const parameters = { length: u32(length), width: u32(width), chunks: u32(chunks) };
      runtime.issue({
        name: "selectAll:count",
        operands: { x: read(x), state: raw(read(state)), counts: raw(write(counts)) },
        parameters,
        groups: chunks,
        body: () => `${selectionKey}
fn run(group: u32, lane: u32) {
  let threshold = load_state(0u);
  let end = min(p.length, (group + 1u) * p.width);
  var larger_ones = 0u;
  var equal_ones = 0u;
  for (var i = group * p.width + lane; i < end; i += LANES) {
    let key = selection_key(load_x(i));
    larger_ones += u32(key > threshold);
    equal_ones += u32(key == threshold);
  }
  let sumLarger = group_count(lane, larger_ones);
  let sumEqual = group_count_2(lane, equal_ones);
  if (lane == 0u) {
    store_counts(2u * group, sumLarger);
    store_counts(2u * group + 1u, sumEqual);
  }
}`,
      });
      // To how many there are in the chunks before.
      runtime.issue({
        name: "selectAll:scan",
        operands: { counts: raw(write(counts)) },
        parameters,
        groups: 1,
        body: () => `
fn run(group: u32, lane: u32) {
  var before = vec2u(0u, 0u);
  for (var base = 0u; base < p.chunks; base += LANES) {
    let at = base + lane;
    var own = vec2u(0u, 0u);
    if (at < p.chunks) { own = vec2u(load_counts(2u * at), load_counts(2u * at + 1u)); }
    let first = group_places(lane, own.x);
    let second = group_places(lane, own.y);
    if (at < p.chunks) {
      store_counts(2u * at, before.x + first.x);
      store_counts(2u * at + 1u, before.y + second.x);
    }
    before += vec2u(first.y, second.y);
  }
}`,
      });
      runtime.issue({
        name: `selectAll:keep:${name}`,
        operands: { x: read(x), state: raw(read(state)), counts: raw(read(counts)), ...operands },
        parameters: { ...parameters, ...selection.parameters },
        groups: chunks,
        body: () => `${selectionKey}
fn run(group: u32, lane: u32) {
  let threshold = load_state(0u);
  let wanted = load_state(1u);
  let end = min(p.length, (group + 1u) * p.width);
  let startEqual = load_counts(2u * group + 1u);
  let startPlace = load_counts(2u * group) + min(startEqual, wanted);
  var larger_seen = 0u;
  var equal_seen = 0u;
  for (var base = group * p.width; base < end; base += LANES * ${runLength}u) {
    let first = base + lane * ${runLength}u;
    let last = min(end, first + ${runLength}u);
    var own = 0u;
    for (var at = first; at < last; at++) { own += flags_of(selection_key(load_x(at)), threshold); }
    let before = group_places(lane, own);
    var equals_before = startEqual + equal_seen + (before.x >> 16u);
    var inChunk = larger_seen + (before.x & 0xffffu) + min(equals_before, wanted) - min(startEqual, wanted);
    for (var at = first; at < last; at++) {
      let column = at - group * p.width;
      let key = selection_key(load_x(at));
      let flags = flags_of(key, threshold);
      if (flags == 1u || (flags == 0x10000u && equals_before < wanted)) {
        let place = startPlace + inChunk;
        ${keep}
        inChunk++;
      }
      equals_before += flags >> 16u;
    }
    larger_seen += before.y & 0xffffu;
    equal_seen += before.y >> 16u;
  }
  let kept = larger_seen + min(startEqual + equal_seen, wanted) - min(startEqual, wanted);
  if (lane == 0u) { ${finish} }
}`,
      });
    },
  );
}
