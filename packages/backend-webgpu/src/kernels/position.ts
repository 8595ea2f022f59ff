import type { PositionKernels } from "@latentkit/tensor";
import { read, write } from "../issue/operands.ts";
import { f32, type Runtime, u32 } from "../runtime.ts";

/**
 * Rotary embedding, an invocation to a pair of features, and to each feature that is copied. x and out move once, the tables' rows
 * once for each head (mostly out of the cache).
 */
export function positionKernels(runtime: Runtime): PositionKernels {
  return {
    rope(x, cos, sin, rows, plan, out) {
      const { tokens, heads, dHead, dRotary, positions, interleaved, transposed } = plan;
      const half = dRotary / 2;
      const each = half + (dHead - dRotary);
      const count = tokens * heads * each;
      runtime.issue({
        name: `rope:${interleaved ? "interleaved" : "halves"}`,
        operands: { x: read(x), cos: read(cos), sin: read(sin), rows: read(rows), out: write(out) },
        parameters: {
          count: u32(count),
          each: u32(each),
          heads: u32(heads),
          dHead: u32(dHead),
          half: u32(half),
          positions: u32(positions),
          sign: f32(transposed ? -1 : 1),
        },
        groups: Math.ceil(count / 256),
        body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.count) { return; }
  let pair = i % p.each;
  let start = (i / p.each) * p.dHead;
  if (pair >= p.half) {
    let at = start + p.half + pair;
    store_out(at, load_x(at));
    return;
  }
  let first = start + ${interleaved ? "2u * pair" : "pair"};
  let second = ${interleaved ? "first + 1u" : "first + p.half"};
  let row = load_rows(i / (p.each * p.heads));
  var c = nan();
  var s = c;
  if (row >= 0 && row < i32(p.positions)) {
    let place = u32(row) * p.half + pair;
    c = load_cos(place);
    s = load_sin(place) * p.sign;
  }
  let a = load_x(first);
  let b = load_x(second);
  store_out(first, a * c - b * s);
  store_out(second, b * c + a * s);
}`,
      });
    },
  };
}
