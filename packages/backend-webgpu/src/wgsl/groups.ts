import type { Library } from "./library.ts";

// Sums and extremes over the invocations of a workgroup. Every invocation calls them, with `lane` its number; there are LANES of them,
// a multiple of 16. Each invocation reads all values by itself: one barrier instead of the logarithm of LANES, as drivers that turn
// barriers into coroutines take seconds to compile a few of them. Sums are taken in the same order whatever the device does.
//
// A program calls each reduction once and outside of loops, since nothing keeps a second call from overwriting what is still read:
// `group_sum_2` and so on are the same for further calls. `group_places` and `group_scan` may be called in loops.

const over = (name: string, type: string, first: string, join: string): Record<string, string> => ({
  [`group_${name}`]: /* wgsl */ `
var<workgroup> group_${name}_values: array<${type}, LANES>;
fn group_${name}(lane: u32, value: ${type}) -> ${type} {
  group_${name}_values[lane] = value;
  workgroupBarrier();
  var a = ${first};
  for (var part = 0u; part < opaque(LANES); part += 16u) {
    var b = group_${name}_values[part];
    for (var i = 1u; i < opaque(16u); i++) {
      let c = group_${name}_values[part + i];
      b = ${join.replace(/\ba\b/g, "B").replace(/\bb\b/g, "c").replace(/\bB\b/g, "b")};
    }
    a = ${join};
  }
  return a;
}`,
});

/** Reductions over a workgroup. */
export const groups: Library = {
  ...over("sum", "f32", "0.0", "a + b"),
  ...over("sum_2", "f32", "0.0", "a + b"),
  ...over("sum_3", "f32", "0.0", "a + b"),
  ...over("sum_4", "f32", "0.0", "a + b"),
  ...over("product", "vec2f", "vec2f(1.0, 0.0)", "multiply_doubles(a, b)"),
  ...over("max", "f32", "-infinity()", "larger(a, b)"),
  ...over("min", "f32", "infinity()", "smaller(a, b)"),
  ...over("count", "u32", "0u", "a + b"),
  ...over("count_2", "u32", "0u", "a + b"),
  ...over("least", "u32", "0xffffffffu", "min(a, b)"),
  ...over("most", "u32", "0u", "max(a, b)"),
  // Exclusive prefix sums of counts, and their total.
  group_places: /* wgsl */ `
var<workgroup> group_places_values: array<u32, LANES>;
fn group_places(lane: u32, value: u32) -> vec2u {
  workgroupBarrier();
  group_places_values[lane] = value;
  workgroupBarrier();
  var place = 0u;
  var total = 0u;
  for (var i = 0u; i < opaque(LANES); i++) {
    let own = group_places_values[i];
    place += select(0u, own, i < lane);
    total += own;
  }
  return vec2u(place, total);
}`,
  // Exclusive prefix sums of doubles, and their total in the upper two.
  group_scan: /* wgsl */ `
var<workgroup> group_scan_values: array<vec2f, LANES>;
fn group_scan(lane: u32, value: vec2f) -> vec4f {
  workgroupBarrier();
  group_scan_values[lane] = value;
  workgroupBarrier();
  var before = vec2f(0.0, 0.0);
  var total = vec2f(0.0, 0.0);
  for (var i = 0u; i < opaque(LANES); i++) {
    if (i == lane) { before = total; }
    total = add_doubles(total, group_scan_values[i]);
  }
  return vec4f(before, total);
}`,
};
