import { fromBf16Bits, fromF16Bits, Random, toBf16Bits, toF16Bits } from "@latentkit/core";
import type { Kernels, Slice, UnaryOperator } from "@latentkit/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import { type CpuBackend, createCpuBackend } from "../backend.ts";

let backend: CpuBackend;
beforeAll(async () => {
  backend = await createCpuBackend({ library: null });
});

/** Runs a kernel on host numbers. */
function apply(operator: UnaryOperator, values: Float32Array): Float32Array {
  return transform(values, (slice) => backend.kernels.unary(operator, slice, slice));
}

/** A gradient kernel's result for an incoming gradient of 1. */
function gradient(
  run: (kernels: Kernels, x: Slice, d: Slice) => void,
  values: Float32Array,
): Float32Array {
  const ones = new Float32Array(values.length).fill(1);
  const both = new Float32Array(2 * values.length);
  both.set(values);
  both.set(ones, values.length);
  const split = (slice: Slice): void => {
    const x = { ...slice, length: values.length };
    run(backend.kernels, x, { ...x, offset: values.length });
  };
  return transform(both, split).subarray(values.length);
}

/** Runs kernels in place. */
function transform(values: Float32Array, run: (slice: Slice) => void): Float32Array {
  const { heap } = backend.runtime;
  const storage = backend.allocate(values.byteLength);
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  backend.write({ storage, offset: 0, length: bytes.length, dtype: "u8" }, bytes);
  const slice = { storage, offset: 0, length: values.length, dtype: "f32" } as const;
  run(slice);
  const result = new Float32Array(
    heap.bytes.slice(addressOf(storage), addressOf(storage) + values.byteLength).buffer,
  );
  backend.free(storage);
  return result;
}

function addressOf(storage: object): number {
  return "address" in storage && typeof storage.address === "number" ? storage.address : Number.NaN;
}

/** Numbers over a range, uniform and (for small magnitudes) logarithmic, of both signs where the range has them. */
function samples(low: number, high: number, count = 200_003): Float32Array {
  const random = new Random(11);
  return Float32Array.from({ length: count }, (_, index) => {
    if (index % 3 > 0) return low + (high - low) * random.uniform();
    const size = Math.exp(-90 * random.uniform()) * Math.max(Math.abs(low), Math.abs(high));
    return low < 0 && index % 2 === 0 ? -Math.min(size, -low) : Math.max(low, Math.min(size, high));
  });
}

/** The largest error, in units of the last place of the exact result; below the normal numbers, of the smallest one's. */
function worstUlp(
  operator: UnaryOperator,
  exact: (x: number) => number,
  values: Float32Array,
): number {
  const results = apply(operator, values);
  let worst = 0;
  for (const [index, x] of values.entries()) {
    const expected = exact(x);
    if (Math.abs(expected) > 3.4028234e38) continue;
    const ulp = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(expected), 2 ** -126))) - 23);
    worst = Math.max(worst, Math.abs((results[index] ?? Number.NaN) - expected) / ulp);
  }
  return worst;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const geluTanh = (x: number): number =>
  x * sigmoid(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));

/** x Phi(x) with Phi by its series for small x, and by the continued fraction of the tail else: both to 1e-15. */
function gelu(x: number): number {
  const z = Math.abs(x);
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z < 3) {
    let [term, sum] = [z, z];
    for (let n = 3; n < 120; n += 2) {
      term *= (z * z) / n;
      sum += term;
    }
    // 1/2 - density * sum would cancel near 3 by five digits of sixteen, which is enough.
    return x * (x < 0 ? 0.5 - density * sum : 0.5 + density * sum);
  }
  let fraction = z;
  for (let n = 300; n > 0; n--) fraction = z + n / fraction;
  return x * (x < 0 ? density / fraction : 1 - density / fraction);
}

/** The error function's density and what GELU's derivative is made of. */
const density = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const phi = (x: number): number => (x === 0 ? 0.5 : gelu(x) / x);
const erf = (x: number): number =>
  Math.abs(x) < 1e-8
    ? (2 * x) / Math.sqrt(Math.PI)
    : Math.sign(x) * (2 * phi(Math.abs(x) * Math.SQRT2) - 1);

describe("accuracy against f64, in units of the last place", () => {
  it.each<[UnaryOperator, (x: number) => number, number, number, number]>([
    ["exp", Math.exp, -103, 88.7, 1.5],
    ["expm1", Math.expm1, -100, 88.7, 2.5],
    ["sigmoid", sigmoid, -87, 40, 2.6],
    ["silu", (x) => x * sigmoid(x), -80, 60, 2.6],
    ["softplus", (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), -80, 60, 2.6],
    ["tanh", Math.tanh, -12, 12, 2],
    ["erf", erf, -5, 5, 3.2],
    ["log", Math.log, 2e-38, 3e38, 1.1],
    ["log1p", Math.log1p, -0.999, 1e6, 2.1],
    ["sqrt", Math.sqrt, 0, 1e30, 0.51],
    ["rsqrt", (x) => 1 / Math.sqrt(x), 1e-30, 1e30, 1.6],
  ])("%s", (operator, exact, low, high, bound) => {
    const worst = worstUlp(operator, exact, samples(low, high));
    expect(worst).toBeLessThan(bound);
    // A bound that is never nearly reached would prove nothing.
    expect(worst).toBeGreaterThan(bound / 4);
  });

  // The exponents of the GELUs grow with the square and the cube of x, and so do their rounding errors.
  it.each<[UnaryOperator, (x: number) => number, (x: number) => number]>([
    ["geluTanh", geluTanh, (x) => 6 + x * x],
    ["gelu", gelu, (x) => 4 + (x * x) / 3],
  ])("%s", (operator, exact, ulps) => {
    const values = samples(-6, 30);
    const results = apply(operator, values);
    let worst = 0;
    for (const [index, x] of values.entries()) {
      const expected = exact(x);
      worst = Math.max(
        worst,
        Math.abs((results[index] ?? Number.NaN) - expected) /
          (ulps(x) * 2 ** -23 * Math.abs(expected) + 1e-37),
      );
    }
    expect(worst).toBeLessThan(1);
    expect(worst).toBeGreaterThan(0.1);
  });

  // Relative to 1: near their zeros and far from 0 the argument's reduction is what counts.
  it.each<[UnaryOperator, (x: number) => number, number, number]>([
    ["sin", Math.sin, 8192, 1.2e-7],
    ["cos", Math.cos, 8192, 1.2e-7],
    ["sin", Math.sin, 1e30, 1.2e-7],
    ["cos", Math.cos, 1e30, 1.2e-7],
  ])("%s in a range, absolutely", (operator, exact, size, bound) => {
    const values = samples(-size, size);
    const results = apply(operator, values);
    let worst = 0;
    for (const [index, x] of values.entries())
      worst = Math.max(worst, Math.abs((results[index] ?? Number.NaN) - exact(x)));
    expect(worst).toBeLessThan(bound);
    expect(worst).toBeGreaterThan(bound / 8);
  });

  it.each<[string, (x: number) => number, (backend: Kernels, x: Slice, d: Slice) => void, number]>([
    [
      "gelu",
      (x) => phi(x) + x * density(x),
      (kernels, x, d) => kernels.unaryGradient("gelu", x, d, d),
      4e-7,
    ],
    [
      "silu",
      (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
      (kernels, x, d) => kernels.unaryGradient("silu", x, d, d),
      4e-7,
    ],
    [
      "geluTanh",
      (x) => {
        const s = geluTanh(x) / x;
        return s + x * s * (1 - s) * 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
      },
      (kernels, x, d) => kernels.unaryGradient("geluTanh", x, d, d),
      1e-6,
    ],
    [
      "erf",
      (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x),
      (kernels, x, d) => kernels.unaryGradient("erf", x, d, d),
      2.5e-7,
    ],
  ])("derivative of %s, absolutely", (_name, exact, run, bound) => {
    const values = samples(-8, 8).map((x) => (x === 0 ? 1e-3 : x));
    const results = gradient(run, values);
    let worst = 0;
    for (const [index, x] of values.entries())
      worst = Math.max(worst, Math.abs((results[index] ?? Number.NaN) - exact(x)));
    expect(worst).toBeLessThan(bound);
    expect(worst).toBeGreaterThan(bound / 8);
  });
});

describe("edges", () => {
  const edges = Float32Array.of(
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    0,
    -0,
    1000,
    -1000,
    1e-45,
    -1e-45,
  );
  it.each<[UnaryOperator, readonly number[]]>([
    ["exp", [Number.NaN, Number.POSITIVE_INFINITY, 0, 1, 1, Number.POSITIVE_INFINITY, 0, 1, 1]],
    ["sigmoid", [Number.NaN, 1, 0, 0.5, 0.5, 1, 0, 0.5, 0.5]],
    ["silu", [Number.NaN, Number.POSITIVE_INFINITY, 0, 0, 0, 1000, 0, 0, 0]],
    ["geluTanh", [Number.NaN, Number.POSITIVE_INFINITY, 0, 0, 0, 1000, 0, 0, 0]],
    ["gelu", [Number.NaN, Number.POSITIVE_INFINITY, 0, 0, 0, 1000, 0, 0, 0]],
    ["tanh", [Number.NaN, 1, -1, 0, 0, 1, -1, 0, 0]],
    ["relu", [Number.NaN, Number.POSITIVE_INFINITY, 0, 0, 0, 1000, 0, 0, 0]],
  ])("%s", (operator, expected) => {
    const results = apply(operator, edges);
    for (const [index, wanted] of expected.entries()) {
      const given = results[index] ?? 0;
      if (Number.isNaN(wanted)) expect(given).toBeNaN();
      else if (Number.isFinite(wanted)) expect(given).toBeCloseTo(wanted, 30);
      else expect(given).toBe(wanted);
    }
  });

  it("log of 0, negatives and infinity", () => {
    expect([
      ...apply("log", Float32Array.of(0, -0, -1, Number.POSITIVE_INFINITY, Number.NaN, 1)),
    ]).toEqual([
      Number.NEGATIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      0,
    ]);
    const subnormal = apply("log", Float32Array.of(1e-42))[0] ?? 0;
    expect(subnormal).toBeCloseTo(Math.log(Math.fround(1e-42)), 4);
  });
});

describe("half precision", () => {
  it.each([
    ["f16", fromF16Bits],
    ["bf16", fromBf16Bits],
  ] as const)("widens every %s exactly", (dtype, read) => {
    const halves = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
    const [from, to] = [backend.allocate(halves.byteLength), backend.allocate(65_536 * 4)];
    const bytes = new Uint8Array(halves.buffer);
    backend.write({ storage: from, offset: 0, length: bytes.length, dtype: "u8" }, bytes);
    backend.kernels.convert(
      { storage: from, offset: 0, length: 65_536, dtype },
      { storage: to, offset: 0, length: 65_536, dtype: "f32" },
    );
    const results = new Float32Array(backend.runtime.heap.buffer, addressOf(to), 65_536);
    expect(halves.findIndex((bits, index) => !Object.is(results[index], read(bits)))).toBe(-1);
    backend.free(from);
    backend.free(to);
  });

  it.each([
    ["f16", toF16Bits, fromF16Bits],
    ["bf16", toBf16Bits, fromBf16Bits],
  ] as const)(
    "narrows to %s as core does: halfway, subnormal, overflowing, NaN",
    (dtype, write, read) => {
      const random = new Random(2);
      const edges = Uint32Array.from(
        { length: 1 << 16 },
        (_, high) => (high << 16) | (high % 7 === 0 ? 0x8000 : 0x1000),
      );
      const anything = Uint32Array.from({ length: 100_001 }, () => random.bits());
      const limits = [0x477fefff, 0x477ff000, 0x33000000, 0x33000001, 0x387fffff, 0x38800000];
      const bits = new Uint32Array(edges.length + anything.length + limits.length);
      bits.set(edges);
      bits.set(anything, edges.length);
      bits.set(limits, edges.length + anything.length);
      const values = new Float32Array(bits.buffer);
      const [from, to] = [backend.allocate(values.byteLength), backend.allocate(values.length * 2)];
      const bytes = new Uint8Array(bits.buffer);
      backend.write({ storage: from, offset: 0, length: bytes.length, dtype: "u8" }, bytes);
      backend.kernels.convert(
        { storage: from, offset: 0, length: values.length, dtype: "f32" },
        { storage: to, offset: 0, length: values.length, dtype },
      );
      const results = new Uint16Array(backend.runtime.heap.buffer, addressOf(to), values.length);
      let wrong = 0;
      for (const [index, value] of values.entries()) {
        const given = results[index] ?? 0;
        // Which NaN it is does not matter.
        if (Number.isNaN(value) ? !Number.isNaN(read(given)) : given !== write(value)) wrong++;
      }
      expect(wrong).toBe(0);
      backend.free(from);
      backend.free(to);
    },
  );
});
