import type { Slice } from "@latentkit/tensor";
import { raw, write } from "../issue/operands.ts";
import { type Runtime, u32 } from "../runtime.ts";

/** Elements that a workgroup sorts in its own memory. */
const block = 1024;

/** Keys in rows of a power of two, to be sorted with what they came from. All are i32 slices that hold u32. */
export interface Keys {
  readonly rows: number;
  /** Elements of a row, a power of two; rows are filled up with keys that come last. */
  readonly width: number;
  readonly keys: Slice;
  /** Second keys, which decide between equal ones; null for none. */
  readonly rest: Slice | null;
  /** Decides between equal keys, so that the order is total: sorting is stable if it ascends in the beginning. */
  readonly order: Slice;
}

/** The smallest power of two that is not less. */
export function powerOfTwo(length: number): number {
  return length <= 1 ? 1 : 2 ** Math.ceil(Math.log2(length));
}

/**
 * Sorts each row by (key, second key, order), ascending and in place: Batcher's bitonic network (1968). Strides below 1,024 run in
 * workgroup memory, so that 2^20 elements need 66 passes over memory instead of 210.
 */
export function sortKeys(runtime: Runtime, { rows, width, keys, rest, order }: Keys): void {
  const total = rows * width;
  const operands = {
    keys: raw(write(keys)),
    rest: rest === null ? null : raw(write(rest)),
    order: raw(write(order)),
  };
  const blocks = Math.ceil(total / block);
  const local = (name: string, low: number, high: number): void =>
    runtime.issue({
      name: `sort:${name}`,
      operands,
      parameters: { total: u32(total), mask: u32(width - 1), low: u32(low), high: u32(high) },
      groups: blocks,
      body: () => localText(rest !== null, name === "merge"),
    });
  local("blocks", 2, Math.min(width, block));
  for (let size = 2 * block; size <= width; size *= 2) {
    for (let stride = size / 2; stride >= block; stride /= 2)
      runtime.issue({
        name: "sort:stride",
        operands,
        parameters: {
          pairs: u32(total / 2),
          mask: u32(width - 1),
          size: u32(size),
          stride: u32(stride),
        },
        groups: Math.ceil(total / 512),
        body: () => strideText(rest !== null),
      });
    local("merge", size, size);
  }
}

const earlier = (rest: boolean): string => `
fn earlier(a: vec3u, b: vec3u) -> bool {
  if (a.x != b.x) { return a.x < b.x; }
  ${rest ? "if (a.y != b.y) { return a.y < b.y; }" : ""}
  return a.z < b.z;
}`;

function strideText(rest: boolean): string {
  return `${earlier(rest)}
fn fetch(i: u32) -> vec3u { return vec3u(load_keys(i), ${rest ? "load_rest(i)" : "0u"}, load_order(i)); }
fn put(i: u32, v: vec3u) {
  store_keys(i, v.x);
  ${rest ? "store_rest(i, v.y);" : ""}
  store_order(i, v.z);
}
fn run(group: u32, lane: u32) {
  let pair = group * LANES + lane;
  if (pair >= p.pairs) { return; }
  let i = (pair / p.stride) * p.stride * 2u + pair % p.stride;
  let j = i + p.stride;
  let a = fetch(i);
  let b = fetch(j);
  if (earlier(b, a) == ((i & p.mask & p.size) == 0u)) {
    put(i, b);
    put(j, a);
  }
}`;
}

/** Of a block in workgroup memory: all stages from one size to another, or the strides of one stage that fit a block. */
function localText(rest: boolean, merge: boolean): string {
  return `${earlier(rest)}
// Three arrays: a vec3u would take 16 bytes.
var<workgroup> own_keys: array<u32, ${block}>;
${rest ? "var<workgroup> own_rest: array<u32, " + block + ">;" : ""}
var<workgroup> own_order: array<u32, ${block}>;
fn own(i: u32) -> vec3u { return vec3u(own_keys[i], ${rest ? "own_rest[i]" : "0u"}, own_order[i]); }
fn set_own(i: u32, v: vec3u) {
  own_keys[i] = v.x;
  ${rest ? "own_rest[i] = v.y;" : ""}
  own_order[i] = v.z;
}
fn exchange(base: u32, lane: u32, size: u32, stride: u32) {
  for (var pair = lane; pair < ${block / 2}u; pair += LANES) {
    let i = (pair / stride) * stride * 2u + pair % stride;
    let a = own(i);
    let b = own(i + stride);
    let up = ((base + i) & p.mask & size) == 0u;
    if (base + i + stride < p.total && earlier(b, a) == up) {
      set_own(i, b);
      set_own(i + stride, a);
    }
  }
  workgroupBarrier();
}
fn run(group: u32, lane: u32) {
  let base = group * ${block}u;
  for (var i = lane; i < ${block}u; i += LANES) {
    if (base + i < p.total) {
      set_own(i, vec3u(load_keys(base + i), ${rest ? "load_rest(base + i)" : "0u"}, load_order(base + i)));
    }
  }
  workgroupBarrier();
  ${
    merge
      ? `for (var stride = opaque(${block / 2}u); stride > 0u; stride = stride / 2u) { exchange(base, lane, p.low, stride); }`
      : `for (var size = p.low; size <= p.high; size = size * 2u) {
    for (var stride = size / 2u; stride > 0u; stride = stride / 2u) { exchange(base, lane, size, stride); }
  }`
  }
  for (var i = lane; i < ${block}u; i += LANES) {
    if (base + i < p.total) {
      store_keys(base + i, own_keys[i]);
      ${rest ? "store_rest(base + i, own_rest[i]);" : ""}
      store_order(base + i, own_order[i]);
    }
  }
}`;
}
