import type { AttentionKernels, AttentionPlan, Slice } from "@latentkit/tensor";
import { read, write } from "../issue/operands.ts";
import { f32, type Parameter, type Runtime, u32 } from "../runtime.ts";
import { produce } from "./produce.ts";

/** Invocations of a workgroup; a workgroup looks at as many keys (or, for dk and dv, queries) at a time. */
const lanes = 64;
/** Queries (or keys) of a workgroup: each key that is read serves all of them. */
const block = 4;

const optional = (slice: Slice | null) => (slice === null ? null : read(slice));

/**
 * Attention with an online softmax (Milakov and Gimelshein, 2018; FlashAttention, 2205.14135, algorithm 1): no scores in memory.
 *
 * Forward: a workgroup has 4 queries of a head. For 64 keys at a time each invocation takes the scores of one key; maximum and sum
 * are brought up to date, and then each invocation adds up its features of the values. q and out move once, k and v
 * ceil(qLength / 4) times, without what causality and window hide.
 *
 * Backward: probabilities are computed again from the saved logarithms. One kernel goes over keys for dq, another over queries and
 * the heads of a group for dk and dv, so that nothing is added atomically and results do not depend on scheduling.
 */
export function attentionKernels(runtime: Runtime): AttentionKernels {
  return {
    attention(q, k, v, keyMask, out, logSumExp, plan) {
      const { batch, qLength, heads, dHead } = plan;
      const blocks = Math.ceil(qLength / block);
      if (dHead === 0) return;
      runtime.issue({
        name: `attention:${kindOf(plan)}:${featuresOf(dHead)}`,
        operands: {
          q: read(q),
          k: read(k),
          v: read(v),
          mask: optional(keyMask),
          out: write(out),
          logs: logSumExp === null ? null : write(logSumExp),
        },
        parameters: { ...parametersOf(plan), blocks: u32(blocks) },
        groups: batch * heads * blocks,
        lanes,
        body: () => `${commonText(plan, keyMask)}
${forwardText(featuresOf(dHead), logSumExp !== null)}`,
      });
    },

    attentionGradient({ q, k, v, keyMask, out, logSumExp, dOut }, { dq, dk, dv }, plan) {
      const { batch, qLength, kLength, kCapacity, heads, kvHeads, dHead } = plan;
      if (dHead === 0) return;
      const rows = batch * heads * qLength;
      // For each query the logarithm of its sum, and dOut . out, the mean of the probabilities' gradients.
      runtime.withScratch([["f32", 2 * rows]], (statistics) => {
        produce(runtime, {
          name: "attentionGradient:statistics",
          out: statistics,
          operands: { o: read(out), logs: read(logSumExp), d: read(dOut) },
          parameters: { qLength: u32(qLength), heads: u32(heads), dHead: u32(dHead) },
          element: () => `
fn element(i: u32) -> f32 {
  let row = i / 2u;
  if (i % 2u == 0u) { return load_logs(row); }
  let query = row % p.qLength;
  let head = (row / p.qLength) % p.heads;
  let start = ((row / (p.qLength * p.heads) * p.qLength + query) * p.heads + head) * p.dHead;
  var sum = 0.0;
  for (var f = 0u; f < p.dHead; f++) { sum += load_d(start + f) * load_o(start + f); }
  return sum;
}`,
        });
        const operands = {
          q: read(q),
          k: read(k),
          v: read(v),
          mask: optional(keyMask),
          d: read(dOut),
          statistics: read(statistics),
        };
        if (dq !== null) {
          const blocks = Math.ceil(qLength / block);
          runtime.issue({
            name: `attentionGradient:q:${kindOf(plan)}:${featuresOf(dHead)}`,
            operands: { ...operands, dq: write(dq) },
            parameters: { ...parametersOf(plan), blocks: u32(blocks) },
            groups: batch * heads * blocks,
            lanes,
            body: () => `${commonText(plan, keyMask)}
${slopeText(plan)}
${queryGradientText(featuresOf(dHead))}`,
          });
        }
        if (dk !== null || dv !== null) {
          for (const target of [dk, dv])
            if (target !== null && (kCapacity > kLength || qLength === 0))
              produce(runtime, {
                name: "zeros",
                out: target,
                element: () => "fn element(i: u32) -> f32 { return 0.0; }",
              });
          const blocks = Math.ceil(kLength / block);
          runtime.issue({
            name: `attentionGradient:kv:${kindOf(plan)}:${featuresOf(dHead)}`,
            operands: {
              ...operands,
              dk: dk === null ? null : write(dk),
              dv: dv === null ? null : write(dv),
            },
            parameters: { ...parametersOf(plan), blocks: u32(blocks) },
            groups: batch * kvHeads * blocks,
            lanes,
            body: () => `${commonText(plan, keyMask)}
${slopeText(plan)}
${keyGradientText(featuresOf(dHead), dk !== null, dv !== null)}`,
          });
        }
      });
    },

    attentionMask(keyMask, visible, hidden, out, plan) {
      produce(runtime, {
        name: `attentionMask:${kindOf(plan)}`,
        out,
        operands: { mask: optional(keyMask) },
        parameters: { ...parametersOf(plan), visible: f32(visible), hidden: f32(hidden) },
        element: () => `${commonText(plan, keyMask, false)}
fn element(i: u32) -> f32 {
  let key = i % p.kLength;
  let row = i / p.kLength;
  return select(p.hidden, p.visible, sees(row / p.qLength, row % p.qLength, key));
}`,
      });
    },
  };
}

/** Features of a head that one invocation adds up. */
function featuresOf(dHead: number): number {
  return Math.ceil(dHead / lanes);
}

/** What of the plan the text depends on. */
function kindOf({ causal, window, softCap }: AttentionPlan): string {
  return [
    causal ? "causal" : "",
    window === null ? "" : "window",
    softCap === null ? "" : "cap",
  ].join("+");
}

function parametersOf(plan: AttentionPlan): Readonly<Record<string, Parameter>> {
  const { qLength, kLength, kCapacity, heads, kvHeads, dHead, scale, window, softCap } = plan;
  return {
    qLength: u32(qLength),
    kLength: u32(kLength),
    kCapacity: u32(kCapacity),
    heads: u32(heads),
    kvHeads: u32(kvHeads),
    dHead: u32(dHead),
    scale: f32(scale),
    window: u32(window ?? 0),
    softCap: f32(softCap ?? 0),
  };
}

/** Text of what a query sees, of where queries and keys lie, and of a score from the scaled product. */
function commonText(
  { causal, window, softCap }: AttentionPlan,
  keyMask: Slice | null,
  places = true,
): string {
  const position = "i32(p.kLength) - i32(p.qLength) + i32(query)";
  const conditions = [
    causal ? `i32(key) <= ${position}` : "",
    window === null ? "" : `i32(key) > ${position} - i32(p.window)`,
    keyMask === null ? "" : "load_mask(entry * p.kLength + key) != 0u",
  ].filter((condition) => condition !== "");
  return `
fn sees(entry: u32, query: u32, key: u32) -> bool {
  return ${["query < p.qLength", "key < p.kLength", ...conditions].join(" && ")};
}${
    places
      ? `
// The keys that a block of queries may see: the first, and one beyond the last.
fn keys_of(first: u32) -> vec2u {
  var low = 0;
  var high = i32(p.kLength);
  ${causal ? `high = min(high, i32(p.kLength) - i32(p.qLength) + i32(min(first + ${block}u, p.qLength)));` : ""}
  ${window === null ? "" : "low = max(0, i32(p.kLength) - i32(p.qLength) + i32(first) - i32(p.window) + 1);"}
  return vec2u(u32(low), u32(max(high, low)));
}
fn query_at(entry: u32, query: u32, head: u32) -> u32 { return ((entry * p.qLength + query) * p.heads + head) * p.dHead; }
fn key_at(entry: u32, key: u32, head: u32) -> u32 { return ((entry * p.kCapacity + key) * p.kvHeads + head) * p.dHead; }
fn score_of(product: f32) -> f32 { return ${softCap === null ? "product" : "p.softCap * tanh_of(product / p.softCap)"}; }`
      : ""
  }`;
}

/** Text of a score's derivative to the scaled product. */
function slopeText({ softCap }: AttentionPlan): string {
  return softCap === null
    ? "fn slope_of(score: f32) -> f32 { return 1.0; }"
    : "fn slope_of(score: f32) -> f32 { let bent = score / p.softCap; return 1.0 - bent * bent; }";
}

/** Text that runs over an invocation's own features: `f` of its sums, `feature` of the head. */
const overFeatures = (features: number, text: string): string => /* wgsl */ `
      for (var f = 0u; f < ${features}u; f++) {
        let feature = lane + f * ${lanes}u;
        if (feature < p.dHead) {
          ${text}
        }
      }`;

/** Three barriers a tile: scores, weights once the largest scores are known, and sums. */
function forwardText(features: number, logs: boolean): string {
  return /* wgsl */ `
var<workgroup> scores: array<f32, ${block * lanes}>;
fn run(group: u32, lane: u32) {
  let first = (group % p.blocks) * ${block}u;
  let head = (group / p.blocks) % p.heads;
  let entry = group / (p.blocks * p.heads);
  let kvHead = head / (p.heads / p.kvHeads);
  let keys = keys_of(first);
  var largest: array<f32, ${block}>;
  var sums: array<f32, ${block}>;
  var out: array<f32, ${block * features}>;
  for (var b = 0u; b < ${block}u; b++) { largest[b] = -infinity(); }
  for (var tile = keys.x; tile < keys.y; tile += ${lanes}u) {
    let key = tile + lane;
    let at = key_at(entry, key, kvHead);
    // Given a value: Mesa (25.0) keeps the last turn's where a variable has none.
    var products = array<f32, ${block}>();
    if (key < keys.y) {
      for (var f = 0u; f < p.dHead; f++) {
        let value = load_k(at + f);
        for (var b = 0u; b < ${block}u; b++) {
          if (first + b < p.qLength) { products[b] += load_q(query_at(entry, first + b, head) + f) * value; }
        }
      }
    }
    workgroupBarrier();
    for (var b = 0u; b < ${block}u; b++) {
      scores[b * ${lanes}u + lane] = select(-infinity(), score_of(products[b] * p.scale), sees(entry, first + b, key));
    }
    workgroupBarrier();
    var weights = array<f32, ${block}>();
    for (var b = 0u; b < ${block}u; b++) {
      var top = largest[b];
      for (var j = 0u; j < opaque(${lanes}u); j++) { top = larger(top, scores[b * ${lanes}u + j]); }
      // Nothing seen so far: the offset is 0, and every weight is.
      let offset = offset_of(top);
      weights[b] = exp_of(scores[b * ${lanes}u + lane] - offset);
      let fade = exp_of(largest[b] - offset);
      largest[b] = top;
      sums[b] *= fade;
      for (var f = 0u; f < ${features}u; f++) { out[b * ${features}u + f] *= fade; }
    }
    workgroupBarrier();
    for (var b = 0u; b < ${block}u; b++) { scores[b * ${lanes}u + lane] = weights[b]; }
    workgroupBarrier();
    let count = min(${lanes}u, keys.y - tile);
    for (var j = 0u; j < count; j++) {
      let start = key_at(entry, tile + j, kvHead);
      for (var b = 0u; b < ${block}u; b++) {
        let weight = scores[b * ${lanes}u + j];
        // What nobody sees may hold anything.
        if (is_zero(weight)) { continue; }
        sums[b] += weight;
        ${overFeatures(features, `out[b * ${features}u + f] += weight * load_v(start + feature);`)}
      }
    }
  }
  for (var b = 0u; b < ${block}u; b++) {
    if (first + b >= p.qLength) { break; }
    let start = query_at(entry, first + b, head);
    let none = is_zero(sums[b]);
    ${overFeatures(features, `store_out(start + feature, select(out[b * ${features}u + f] / sums[b], 0.0, none));`)}
    ${logs ? "if (lane == 0u) { store_logs((entry * p.heads + head) * p.qLength + first + b, select(offset_of(largest[b]) + log_of(sums[b]), -infinity(), none)); }" : ""}
  }
}`;
}

/** Text of the weight of a key for a query, and of the gradient to their scaled product; both 0 where it is not seen. */
const pairText = /* wgsl */ `
fn weigh(entry: u32, query: u32, head: u32, key: u32, kvHead: u32) -> vec2f {
  if (!sees(entry, query, key)) { return vec2f(0.0, 0.0); }
  let origin = query_at(entry, query, head);
  let at = key_at(entry, key, kvHead);
  var product = 0.0;
  var toWeight = 0.0;
  for (var f = 0u; f < p.dHead; f++) {
    product += load_q(origin + f) * load_k(at + f);
    toWeight += load_d(origin + f) * load_v(at + f);
  }
  let row = (entry * p.heads + head) * p.qLength + query;
  let score = score_of(product * p.scale);
  let weight = exp_of(score - load_statistics(2u * row));
  return vec2f(weight, weight * (toWeight - load_statistics(2u * row + 1u)) * slope_of(score) * p.scale);
}`;

function queryGradientText(features: number): string {
  return /* wgsl */ `${pairText}
var<workgroup> slopes: array<f32, ${block * lanes}>;
fn run(group: u32, lane: u32) {
  let first = (group % p.blocks) * ${block}u;
  let head = (group / p.blocks) % p.heads;
  let entry = group / (p.blocks * p.heads);
  let kvHead = head / (p.heads / p.kvHeads);
  let keys = keys_of(first);
  var sums: array<f32, ${block * features}>;
  for (var tile = keys.x; tile < keys.y; tile += ${lanes}u) {
    workgroupBarrier();
    for (var b = 0u; b < ${block}u; b++) {
      slopes[b * ${lanes}u + lane] = weigh(entry, first + b, head, tile + lane, kvHead).y;
    }
    workgroupBarrier();
    let count = min(${lanes}u, keys.y - tile);
    for (var j = 0u; j < count; j++) {
      let start = key_at(entry, tile + j, kvHead);
      for (var b = 0u; b < ${block}u; b++) {
        let slope = slopes[b * ${lanes}u + j];
        if (is_zero(slope)) { continue; }
        ${overFeatures(features, `sums[b * ${features}u + f] += slope * load_k(start + feature);`)}
      }
    }
  }
  for (var b = 0u; b < ${block}u; b++) {
    if (first + b >= p.qLength) { break; }
    let start = query_at(entry, first + b, head);
    ${overFeatures(features, `store_dq(start + feature, sums[b * ${features}u + f]);`)}
  }
}`;
}

function keyGradientText(features: number, toKeys: boolean, toValues: boolean): string {
  return /* wgsl */ `${pairText}
var<workgroup> pairs: array<vec2f, ${block * lanes}>;
fn run(group: u32, lane: u32) {
  let first = (group % p.blocks) * ${block}u;
  let kvHead = (group / p.blocks) % p.kvHeads;
  let entry = group / (p.blocks * p.kvHeads);
  let perGroup = p.heads / p.kvHeads;
  var toKeys: array<f32, ${block * features}>;
  var toValues: array<f32, ${block * features}>;
  let tiles = (p.qLength + ${lanes - 1}u) / ${lanes}u;
  for (var step = 0u; step < tiles * perGroup; step++) {
    let head = kvHead * perGroup + step / tiles;
    let tile = (step % tiles) * ${lanes}u;
    workgroupBarrier();
    for (var b = 0u; b < ${block}u; b++) {
      pairs[b * ${lanes}u + lane] = weigh(entry, tile + lane, head, first + b, kvHead);
    }
    workgroupBarrier();
    let count = min(${lanes}u, p.qLength - tile);
    for (var j = 0u; j < count; j++) {
      let start = query_at(entry, tile + j, head);
      for (var b = 0u; b < ${block}u; b++) {
        let pair = pairs[b * ${lanes}u + j];
        if (is_zero(pair.x)) { continue; }
        ${overFeatures(
          features,
          `toKeys[b * ${features}u + f] += pair.y * load_q(start + feature);
          toValues[b * ${features}u + f] += pair.x * load_d(start + feature);`,
        )}
      }
    }
  }
  for (var b = 0u; b < ${block}u; b++) {
    if (first + b >= p.kLength) { break; }
    let start = key_at(entry, first + b, kvHead);
    ${overFeatures(
      features,
      `${toKeys ? `store_dk(start + feature, toKeys[b * ${features}u + f]);` : ""}
          ${toValues ? `store_dv(start + feature, toValues[b * ${features}u + f]);` : ""}`,
    )}
  }
}`;
}
