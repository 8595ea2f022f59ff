import type { RandomKernels } from "@latentkit/tensor";
import type { RandomState } from "@latentkit/core";
import { raw, read, write } from "../issue/operands.ts";
import { f32, type Parameter, type Runtime, u32 } from "../runtime.ts";
import { powerOfTwo, sortKeys } from "./order.ts";
import { produce } from "./produce.ts";
import { runningSum } from "./reduce.ts";
import { lanesFor, overRow, rowSum } from "./rows.ts";
import { runLength } from "./select.ts";

/**
 * Random numbers: bits and uniforms, and all that follows from them by comparison, are those of every other device; normals agree to
 * 2e-6, as logarithm, root and cosine are rounded in f32. Each element computes its own words, and nothing but the output moves.
 */
export function randomKernels(runtime: Runtime): RandomKernels {
  return {
    randomBits(state, out) {
      produce(runtime, {
        name: "randomBits",
        out,
        raw: true,
        parameters: stateOf(state),
        element: () => "fn element(i: u32) -> u32 { return random_word(i); }",
      });
    },

    randomUniform(state, low, high, out) {
      const start = Math.fround(low);
      produce(runtime, {
        name: "randomUniform",
        out,
        parameters: {
          ...stateOf(state),
          low: f32(start),
          span: f32(Math.fround(Math.fround(high) - start)),
        },
        element: () =>
          "fn element(i: u32) -> f32 { return p.low + rounded(p.span * random_uniform(i)); }",
      });
    },

    randomNormal(state, mean, deviation, out) {
      produce(runtime, {
        name: "randomNormal",
        out,
        parameters: { ...stateOf(state), mean: f32(mean), deviation: f32(deviation) },
        // cos(2 pi u) with u taken to the nearest quarter turn first, which is exact.
        element: () => `
fn element(i: u32) -> f32 {
  let rest = f32(0x1000000u - (random_word(2u * i) >> 8u)) * 5.9604644775390625e-8;
  let turn = random_uniform(2u * i + 1u);
  let quarter = floor(turn * 4.0 + 0.5);
  let cosine = sine_from((turn - quarter * 0.25) * 6.283185307179586, u32(quarter) + 1u);
  return p.mean + p.deviation * (sqrt_of(-2.0 * log_of(rest)) * cosine);
}`,
      });
    },

    randomPermutation(state, out) {
      const count = out.length;
      if (count === 0) return;
      const width = powerOfTwo(count);
      runtime.withScratch(
        [
          ["i32", width],
          ["i32", width],
          ["i32", width],
        ],
        (keys, rest, order) => {
          runtime.issue({
            name: "randomPermutation:keys",
            operands: { keys: raw(write(keys)), rest: raw(write(rest)), order: raw(write(order)) },
            parameters: { ...stateOf(state), count: u32(count), width: u32(width) },
            groups: Math.ceil(width / 256),
            body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.width) { return; }
  let inside = i < p.count;
  store_keys(i, select(0xffffffffu, random_word(2u * i), inside));
  store_rest(i, select(0xffffffffu, random_word(2u * i + 1u), inside));
  store_order(i, i);
}`,
          });
          sortKeys(runtime, { rows: 1, width, keys, rest, order });
          produce(runtime, {
            name: "take",
            out,
            raw: true,
            operands: { order: raw(read(order)) },
            element: () => "fn element(i: u32) -> u32 { return load_order(i); }",
          });
        },
      );
    },

    categoricalRows(state, logits, rows, columns, out) {
      runtime.issue({
        name: "categoricalRows",
        operands: { x: read(logits), out: write(out) },
        parameters: { ...stateOf(state), columns: u32(columns) },
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  var most = -infinity();
  ${overRow("most = larger(most, load_x(at));")}
  let largest = group_max(lane, most);
  ${rowSum("sum", "exp_of(load_x(at) - largest)")}
  // 53 bits as a double: 24 and 29 of them.
  let high = random_word(2u * group);
  let low = random_word(2u * group + 1u);
  let goal = vec2f(
    f32(high >> 8u) * 5.9604644775390625e-8,
    f32(((high & 0xffu) << 16u) | (low >> 16u)) * 3.552713678800501e-15,
  );
  let wanted = multiply_doubles(goal, vec2f(sum, 0.0));
  var carry = vec2f(0.0, 0.0);
  var found = 0xffffffffu;
  // One more than the last column that has a probability.
  var last = 0u;
  for (var base = 0u; base < p.columns; base += LANES * ${runLength}u) {
    let start = base + lane * ${runLength}u;
    let end = min(p.columns, start + ${runLength}u);
    var own = vec2f(0.0, 0.0);
    for (var c = start; c < end; c++) { own = add_doubles(own, vec2f(exp_of(load_x(group * p.columns + c) - largest), 0.0)); }
    let sums = group_scan(lane, own);
    var running = add_doubles(carry, sums.xy);
    carry = add_doubles(carry, sums.zw);
    for (var c = start; c < end; c++) {
      let value = exp_of(load_x(group * p.columns + c) - largest);
      running = add_doubles(running, vec2f(value, 0.0));
      if (!(value > 0.0)) { continue; }
      last = c + 1u;
      if (found == 0xffffffffu && (running.x - wanted.x) + (running.y - wanted.y) > 0.0) { found = c; }
    }
  }
  let first = group_least(lane, found);
  let end = group_most(lane, last);
  // Should rounding leave the sum just below the goal, the last column with a probability is it.
  if (lane == 0u) { store_out(group, select(-1, i32(select(first, end - 1u, first == 0xffffffffu)), is_finite(sum))); }
}`,
      });
    },

    dropout(state, x, rate, out) {
      produce(runtime, {
        name: "dropout",
        out,
        operands: { x: read(x) },
        // u = w / 2^24 >= rate, as whole numbers.
        parameters: {
          ...stateOf(state),
          least: u32(Math.ceil(rate * 2 ** 24)),
          kept: f32(1 - rate),
        },
        element: () => `
fn element(i: u32) -> f32 {
  if ((random_word(i) >> 8u) < p.least) { return 0.0; }
  return load_x(i) / p.kept;
}`,
      });
    },

    bernoulli(state, probabilities, out) {
      produce(runtime, {
        name: "bernoulli",
        out,
        operands: { x: read(probabilities) },
        parameters: stateOf(state),
        element: () =>
          "fn element(i: u32) -> f32 { return select(0.0, 1.0, less_than(random_uniform(i), load_x(i))); }",
      });
    },
  };
}

/** The parameters that `random_word` reads. */
function stateOf({ seed, stream, position }: RandomState): Readonly<Record<string, Parameter>> {
  return {
    seed: u32(seed),
    stream: u32(stream),
    positionLow: u32(position % 2 ** 32),
    positionHigh: u32(Math.floor(position / 2 ** 32)),
  };
}
