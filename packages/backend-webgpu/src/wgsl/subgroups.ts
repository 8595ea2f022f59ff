import type { Library } from "./library.ts";

// The reductions of groups.ts where there are subgroups. Values go through workgroup memory once; then each subgroup reduces all of
// them, each of its invocations a share, and joins the shares by one instruction. Nothing is assumed of how invocations are dealt to
// subgroups, nor of subgroups being full: an invocation's share follows from its rank among those that are there. Sums depend on the
// size of a device's subgroups, and on nothing else.

const over = (
  name: string,
  type: string,
  first: string,
  join: string,
  across: string,
): Library => ({
  [`group_${name}`]: /* wgsl */ `
var<workgroup> group_${name}_values: array<${type}, LANES>;
fn group_${name}(lane: u32, value: ${type}) -> ${type} {
  group_${name}_values[lane] = value;
  workgroupBarrier();
  let count = subgroupAdd(1u);
  var a = ${first};
  for (var i = subgroupExclusiveAdd(1u); i < LANES; i += count) {
    let b = group_${name}_values[i];
    a = ${join};
  }
  return ${across};
}`,
});

/** Reductions over a workgroup by subgroups; those of `groups.ts` that are not here have no other form. */
export const subgroups: Library = {
  ...over("sum", "f32", "0.0", "a + b", "subgroupAdd(a)"),
  ...over("sum_2", "f32", "0.0", "a + b", "subgroupAdd(a)"),
  ...over("sum_3", "f32", "0.0", "a + b", "subgroupAdd(a)"),
  ...over("sum_4", "f32", "0.0", "a + b", "subgroupAdd(a)"),
  // What subgroupMax makes of NaN is not said: integers in the order of floats have one.
  ...over(
    "max",
    "f32",
    "-infinity()",
    "larger(a, b)",
    "float_of_key(subgroupMax(key_of_float(a, 0xffffffffu)))",
  ),
  ...over(
    "min",
    "f32",
    "infinity()",
    "smaller(a, b)",
    "float_of_key(subgroupMin(key_of_float(a, 0u)))",
  ),
  ...over("count", "u32", "0u", "a + b", "subgroupAdd(a)"),
  ...over("count_2", "u32", "0u", "a + b", "subgroupAdd(a)"),
  ...over("least", "u32", "0xffffffffu", "min(a, b)", "subgroupMin(a)"),
  ...over("most", "u32", "0u", "max(a, b)", "subgroupMax(a)"),
  // Each subgroup sums runs of the values, an invocation a run; what stands before a run, and then the run itself up to `lane`.
  group_places: /* wgsl */ `
var<workgroup> group_places_values: array<u32, LANES>;
var<workgroup> group_places_before: array<u32, LANES>;
fn group_places(lane: u32, value: u32) -> vec2u {
  workgroupBarrier();
  group_places_values[lane] = value;
  workgroupBarrier();
  let count = subgroupAdd(1u);
  let rank = subgroupExclusiveAdd(1u);
  let size = (LANES + count - 1u) / count;
  let end = min(LANES, (rank + 1u) * size);
  var sum = 0u;
  for (var i = rank * size; i < end; i++) { sum += group_places_values[i]; }
  let before = subgroupExclusiveAdd(sum);
  let total = subgroupAdd(sum);
  // One subgroup writes, of those that all have the same: the one of the first invocation.
  if (subgroupMin(lane) == 0u) {
    var place = before;
    for (var i = rank * size; i < end; i++) {
      group_places_before[i] = place;
      place += group_places_values[i];
    }
  }
  workgroupBarrier();
  return vec2u(group_places_before[lane], total);
}`,
  key_of_float: /* wgsl */ `
fn key_of_float(x: f32, of_nan: u32) -> u32 {
  if (is_nan(x)) { return of_nan; }
  let pattern = bitcast<u32>(x);
  return select(pattern | 0x80000000u, ~pattern, is_negative(x));
}`,
  // Both keys of NaN are the patterns of NaN.
  float_of_key: /* wgsl */ `
fn float_of_key(key: u32) -> f32 {
  return float_of(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}`,
};
