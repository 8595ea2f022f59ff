import type { Library } from "./library.ts";

/** Philox4x32-10 (Salmon et al., 2011), word by word, as `Random` of `@latentkit/core` draws it. */
export const philox: Library = {
  // Low and high 32 bits of a product, from 16-bit halves.
  wide_product: /* wgsl */ `
fn wide_product(a: u32, b: u32) -> vec2u {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let middle = aHigh * bLow + ((aLow * bLow) >> 16u);
  let other = aLow * bHigh + (middle & 0xffffu);
  return vec2u(a * b, aHigh * bHigh + (middle >> 16u) + (other >> 16u));
}`,
  philox_block: /* wgsl */ `
fn philox_block(low: u32, high: u32) -> vec4u {
  var c = vec4u(low, high, 0u, 0u);
  var k = vec2u(p.seed, p.stream);
  for (var round = 0; round < 10; round++) {
    let first = wide_product(0xd2511f53u, c.x);
    let second = wide_product(0xcd9e8d57u, c.z);
    c = vec4u(second.y ^ c.y ^ k.x, second.x, first.y ^ c.w ^ k.y, first.x);
    k = k + vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}`,
  // Word i from the position that the parameters say.
  random_word: /* wgsl */ `
fn random_word(i: u32) -> u32 {
  let low = p.positionLow + i;
  let high = p.positionHigh + u32(low < i);
  return philox_block((low >> 2u) | (high << 30u), high >> 2u)[low & 3u];
}`,
  // (w(i) >>> 8) / 2^24, exact.
  random_uniform: /* wgsl */ `
fn random_uniform(i: u32) -> f32 { return f32(random_word(i) >> 8u) * 5.9604644775390625e-8; }`,
};
