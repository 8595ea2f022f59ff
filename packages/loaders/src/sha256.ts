// SHA-256 (FIPS 180-4) on 32-bit integers. Web Crypto has no streaming digest and no synchronous one; this has both.

const constants = /* @__PURE__ */ makeConstants();

/** A running SHA-256. `hex()` ends it. */
export class Sha256 {
  readonly #state = Uint32Array.of(
    0x6a09e667,
    0xbb67ae85,
    0x3c6ef372,
    0xa54ff53a,
    0x510e527f,
    0x9b05688c,
    0x1f83d9ab,
    0x5be0cd19,
  );
  readonly #block = new Uint8Array(64);
  readonly #schedule = new Int32Array(64);
  #length = 0;

  /** Takes more bytes, or the UTF-8 bytes of a string. */
  update(data: Uint8Array | string): this {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    let offset = 0;
    const filled = this.#length % 64;
    this.#length += bytes.length;
    if (filled > 0) {
      offset = Math.min(64 - filled, bytes.length);
      this.#block.set(bytes.subarray(0, offset), filled);
      if (filled + offset < 64) return this;
      this.#compress(this.#block, 0);
    }
    for (; offset + 64 <= bytes.length; offset += 64) this.#compress(bytes, offset);
    this.#block.set(bytes.subarray(offset));
    return this;
  }

  /** The digest as 64 hexadecimal digits. Call it once. */
  hex(): string {
    const length = this.#length;
    const padding = new Uint8Array((length % 64 < 56 ? 64 : 128) - (length % 64));
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(length / 0x2000_0000));
    view.setUint32(padding.length - 4, (length * 8) >>> 0);
    this.update(padding);
    return Array.from(this.#state, (word) => word.toString(16).padStart(8, "0")).join("");
  }

  #compress(bytes: Uint8Array, offset: number): void {
    const w = this.#schedule;
    const k = constants;
    const state = this.#state;
    for (let i = 0; i < 16; i++) {
      const at = offset + i * 4;
      w[i] =
        ((bytes[at] ?? 0) << 24) |
        ((bytes[at + 1] ?? 0) << 16) |
        ((bytes[at + 2] ?? 0) << 8) |
        (bytes[at + 3] ?? 0);
    }
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15] ?? 0;
      const y = w[i - 2] ?? 0;
      const small0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const small1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = ((w[i - 16] ?? 0) + small0 + (w[i - 7] ?? 0) + small1) | 0;
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
    for (let i = 0; i < 64; i++) {
      const big1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const first = (h + big1 + ((e & f) ^ (~e & g)) + (k[i] ?? 0) + (w[i] ?? 0)) | 0;
      const big0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const second = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + first) | 0;
      d = c;
      c = b;
      b = a;
      a = (first + second) | 0;
    }
    const sums = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) state[i] = (state[i] ?? 0) + (sums[i] ?? 0);
  }
}

/** The SHA-256 of bytes or of a string's UTF-8, as 64 hexadecimal digits. */
export function hashBytes(data: Uint8Array | string): string {
  return new Sha256().update(data).hex();
}

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
function makeConstants(): Int32Array {
  const result = new Int32Array(64);
  let found = 0;
  for (let candidate = 2n; found < 64; candidate++) {
    let prime = true;
    for (let divisor = 2n; divisor * divisor <= candidate; divisor++) {
      if (candidate % divisor === 0n) prime = false;
    }
    if (!prime) continue;
    // floor(cbrt(candidate) * 2^32) by Newton's method on integers, so that no rounding of floats enters.
    const scaled = candidate << 96n;
    let root = 1n << 36n;
    for (;;) {
      const next = (2n * root + scaled / (root * root)) / 3n;
      if (next >= root) break;
      root = next;
    }
    result[found++] = Number(root & 0xffff_ffffn) | 0;
  }
  return result;
}
