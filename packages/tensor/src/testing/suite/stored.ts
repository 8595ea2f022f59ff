/* oxlint-disable vitest/expect-expect -- agree(), gradientsAgree() and holds() assert */
import {
  decodeStored,
  type Random,
  storedBlock,
  type StoredFormat,
  storedFormats,
  toBf16Bits,
  toF16Bits,
} from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import { linear, matmul } from "../../operators/matmul.ts";
import { embedding } from "../../operators/indexing.ts";
import { convert } from "../../operators/layout.ts";
import type { StoredWeight, StoredWeightOptions } from "../../stored-weight.ts";
import { storedByteLength } from "../../stored-weight.ts";
// Made by oracles/tensor/stored.py; oracles/tensor/versions.txt says with what.
import goldens from "../goldens/stored.json" with { type: "json" };
import {
  agree,
  anySeed,
  exact,
  holds,
  type Inputs,
  readAll,
  someSize,
  type Suite,
  sumTolerance,
} from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";
import { floatsOf, type Packed, unpack } from "./packed.ts";

/** Bytes of a matrix whose elements are of the order of 1: random bits, but for the f16 numbers of blocks. */
export function storedBytes(
  random: Random,
  [rows, columns]: readonly [number, number],
  format: StoredFormat,
): Uint8Array {
  const block = storedBlock(format);
  const bytes = Uint8Array.from({ length: storedByteLength([rows, columns], format) }, () =>
    random.integer(256),
  );
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += block.bytes) {
    const half = (place: number, scale: number) =>
      view.setUint16(at + place, toF16Bits(scale * random.normal()), true);
    if (format === "f32") view.setFloat32(at, random.normal(), true);
    else if (format === "bf16") view.setUint16(at, toBf16Bits(random.normal()), true);
    else if (format === "f16") half(0, 1);
    else if (format === "q8_0") half(0, 1 / 74);
    else if (format === "q6_k") half(208, 1 / 1400);
    else half(0, format === "q4_k" ? 1 / 160 : 0.2);
    if (format === "q4_1") half(2, 1);
    if (format === "q4_k") half(2, 1 / 36);
  }
  return bytes;
}

/** A random weight, the same on every device. */
function weightOf(
  inputs: Inputs,
  shape: readonly [number, number],
  format: StoredFormat,
  options: StoredWeightOptions = {},
): StoredWeight {
  return inputs.device.storedWeight(
    storedBytes(inputs.random, shape, format),
    shape,
    format,
    options,
  );
}

/** For sums of `length` products of normals with weights that are of the order of 1, and seldom above 4. */
const products = (length: number) => sumTolerance(4 * length);

const formats = fc.constantFrom(...storedFormats);
const cases: readonly (Readonly<Record<string, Packed>> & { readonly format: string })[] =
  // The script writes what Packed says, and the format's name.
  goldens.cases as unknown as readonly (Record<string, Packed> & { format: string })[];

/** Weights as they are stored: decoding, products, their gradients and picked rows. */
export function storedSuite(suite: Suite): void {
  it.each(cases)("$format is what gguf decodes, bit for bit, at edges too", async (golden) => {
    const format = formatOf(golden.format);
    const read = await readAll(suite.device, 1, ({ device }) => ({
      values: goldenWeight(device, golden, format).dequantize(),
      edges: device
        .storedWeight(bytesOf(golden["edgeBytes"]), [1, lengthOf(golden["edgeValues"])], format)
        .dequantize(),
    }));
    for (const [name, packed] of [
      ["values", golden["values"]],
      ["edges", golden["edgeValues"]],
    ] as const) {
      expect(bits(read.get(name)?.values), name).toEqual(bits(floatsOf(packed ?? { shape: [] })));
    }
  });

  it.each(cases)("products with $format and their gradients are PyTorch's", async (golden) => {
    const format = formatOf(golden.format);
    const read = await readAll(suite.device, 1, ({ device }) => {
      const weight = goldenWeight(device, golden, format);
      const [x, bias] = [unpacked(device, golden["x"]), unpacked(device, golden["bias"])];
      const tape = new Tape(device);
      tape.watch(x);
      tape.watch(bias);
      const out = tape.run(() => linear(x, weight, bias));
      const [dx, dBias] = tape.gradients(out, [x, bias], unpacked(device, golden["dOut"]));
      if (dx === undefined || dBias === undefined) throw new TypeError("a gradient is missing");
      return { out, dx, one: linear(x.rows(3, 4), weight, bias) };
    });
    const out = floatsOf(golden["out"] ?? { shape: [] });
    const wide = products(lengthOf(golden["x"]) / 9);
    expect(read.get("out")?.values).toBeClose(out, wide);
    const width = out.length / 9;
    expect(read.get("one")?.values).toBeClose(out.subarray(3 * width, 4 * width), wide);
    expect(read.get("dx")?.values).toBeClose(floatsOf(golden["dx"] ?? { shape: [] }), products(10));
  });

  it("linear agrees with the reference for every format, shape and number of rows", async () => {
    const input = fc.record({
      seed: anySeed,
      format: formats,
      leading: fc.constantFrom([], [0], [1], [2], [2, 2], [5], [3, 11], [67]),
      out: fc.constantFrom(0, 1, 2, 3, 4, 5, 7, 33, 130),
      blocks: someSize,
      biased: fc.boolean(),
    });
    await holds(
      input,
      ({ seed, format, leading, out, blocks, biased }) => {
        const { elements } = storedBlock(format);
        const columns = elements * (elements > 1 ? 1 + (blocks % 5) : blocks);
        return agree(suite, seed, products(columns), (inputs) => {
          const weight = weightOf(inputs, [out, columns], format);
          const x = inputs.normal([...leading, columns]);
          return { out: linear(x, weight, biased ? inputs.normal([out]) : null) };
        });
      },
      80,
    );
  });

  it.each(storedFormats)(
    "a %s matrix of many chunks agrees, by vectors and by rows",
    async (format) => {
      await agree(suite, 7, products(512), (inputs) => {
        const weight = weightOf(inputs, [1_030, 512], format);
        const bias = inputs.normal([1_030]);
        const [one, few, many, most] = [
          inputs.normal([512]),
          inputs.normal([3, 512]),
          inputs.normal([21, 512]),
          inputs.normal([140, 512]),
        ];
        return {
          one: linear(one, weight, bias),
          few: linear(few, weight),
          many: linear(many, weight, bias),
          most: linear(most, weight, bias),
          embedding: embedding(weight, inputs.integers([2, 300], 1_030)),
        };
      });
    },
  );

  it("a product with f32 weights is the tensor's", async () => {
    const read = await readAll(suite.device, 8, (inputs) => {
      const x = inputs.normal([9, 35]);
      const weight = weightOf(inputs, [6, 35], "f32");
      return { stored: linear(x, weight), plain: linear(x, weight.dequantize()) };
    });
    expect(read.get("stored")?.values).toBeClose(read.get("plain")?.values ?? [], products(35));
  });

  it("rows of a weight are views of it", async () => {
    await holds(
      fc.record({ seed: anySeed, format: formats, start: fc.nat(6), count: fc.nat(5) }),
      ({ seed, format, start, count }) =>
        agree(suite, seed, products(256), (inputs) => {
          const whole = weightOf(inputs, [12, 256], format);
          const part = whole.rows(start, start + count);
          whole.dispose();
          const x = inputs.normal([2, 256]);
          return { values: part.dequantize(), out: linear(x, part) };
        }),
    );
  });

  it("embedding picks decoded rows; an id without a row gives NaN", async () => {
    await holds(
      fc.record({ seed: anySeed, format: formats, rows: someSize, picks: fc.nat(9) }),
      ({ seed, format, rows, picks }) =>
        agree(suite, seed, exact, (inputs) => {
          const table = weightOf(inputs, [rows, 256], format);
          return { out: embedding(table, inputs.integers([picks], rows)) };
        }),
    );
    const read = await readAll(suite.device, 9, (inputs) => ({
      out: embedding(weightOf(inputs, [3, 32], "q4_1"), inputs.of(Int32Array.of(-1, 2, 3), [3])),
    }));
    const nan = Array.from(read.get("out")?.values ?? [], (value) => Number.isNaN(value));
    expect(nan).toEqual(Array.from({ length: 96 }, (_, at) => at < 32 || at >= 64));
  });

  it("gradients to x and to the bias agree with finite differences", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        format: formats,
        rows: fc.constantFrom(0, 1, 2, 9),
        out: fc.constantFrom(1, 3, 4, 70),
      }),
      ({ seed, format, rows, out }) =>
        gradientsAgree(suite, seed, { rtol: 1e-4, atol: 2e-3 }, (inputs) => {
          const x = inputs.normal([rows, 256]);
          const bias = inputs.normal([out]);
          const weight = weightOf(inputs, [out, 256], format, { activations: "f32" });
          return { wrt: [x, bias], forward: () => linear(x, weight, bias) };
        }),
      20,
    );
  });

  it.each(["q8_0", "q4_0", "q4_1", "q4_k", "q6_k"] as const)(
    "16-bit activations keep the bound they promise: %s",
    async (format) => {
      await holds(
        fc.record({
          seed: anySeed,
          columns: fc.constantFrom(256, 512, 1_280),
          rows: fc.constantFrom(1, 2, 4, 9),
          scale: fc.constantFrom(1e-30, 1, 1e20),
        }),
        async ({ seed, columns, rows, scale }) => {
          const shape = [11, columns] as const;
          const host = new Float32Array(11 * columns);
          let x: Float32Array = new Float32Array();
          const read = await readAll(suite.device, seed, (inputs) => {
            const bytes = storedBytes(inputs.random, shape, format);
            decodeStored(bytes, format, host);
            const weight = inputs.device.storedWeight(bytes, shape, format, {
              activations: "i16",
            });
            x = inputs.random.fillNormal(new Float32Array(rows * columns), scale);
            return { out: linear(inputs.of(x, [rows, columns]), weight) };
          });
          const out = read.get("out")?.values ?? new Float32Array();
          for (const [at, value] of out.entries()) {
            const [row, column] = [Math.floor(at / 11), at % 11];
            const { product, bound } = boundedProduct(
              x.subarray(row * columns, (row + 1) * columns),
              host.subarray(column * columns, (column + 1) * columns),
            );
            expect(Math.abs(value - product), `${row}, ${column}`).toBeLessThanOrEqual(bound);
          }
        },
        12,
      );
    },
  );

  it("NaN and infinity in x and in scales come through", async () => {
    for (const format of ["f16", "q8_0", "q4_1", "q6_k"] as const) {
      for (const activations of ["f32", "i16"] as const) {
        const read = await readAll(suite.device, 11, (inputs) => {
          const bytes = storedBytes(inputs.random, [3, 256], format);
          const view = new DataView(bytes.buffer);
          // The middle row has an infinite number.
          const middle = bytes.length / 3 + (format === "q6_k" ? 208 : 0);
          view.setUint16(middle, 0x7c00, true);
          const weight = inputs.device.storedWeight(bytes, [3, 256], format, { activations });
          const x = inputs.random.fillNormal(new Float32Array(2 * 256));
          x[300] = Number.NaN;
          return { out: linear(inputs.of(x, [2, 256]), weight) };
        });
        const finite = Array.from(read.get("out")?.values ?? [], (value) => Number.isFinite(value));
        expect(finite, `${format} ${activations}`).toEqual([
          true,
          false,
          true,
          false,
          false,
          false,
        ]);
      }
    }
  });

  it("the gradient to x is the dequantised weight's", async () => {
    await agree(suite, 12, products(64), (inputs) => {
      const weight = weightOf(inputs, [5, 64], "q8_0");
      const [g, v] = [inputs.normal([3, 5]), inputs.normal([3, 64])];
      const tape = new Tape(inputs.device);
      tape.watch(v);
      const out = tape.run(() => linear(v, weight));
      const [dv] = tape.gradients(out, [v], g);
      if (dv === undefined) throw new TypeError("the gradient is missing");
      return { dv, plain: matmul(g, weight.dequantize()) };
    });
  });

  it("a stored weight counts as memory, and scopes free it", () => {
    const { device } = suite;
    const before = device.memory().liveBytes;
    const bytes = new Uint8Array(40);
    const kept = device.scope(() => {
      device.storedWeight(bytes, [1, 64], "q4_1");
      const result = device.storedWeight(bytes, [2, 32], "q4_1");
      expect(device.memory().liveBytes).toBe(before + 80);
      return { result };
    });
    expect(device.memory().liveBytes).toBe(before + 40);
    const other = kept.result.alias();
    kept.result.dispose();
    kept.result.dispose();
    expect(kept.result.disposed).toBe(true);
    expect(device.memory().liveBytes).toBe(before + 40);
    expect(other.byteLength).toBe(40);
    other.dispose();
    expect(device.memory().liveBytes).toBe(before);
    expect(() => other.dequantize()).toThrow(expect.objectContaining({ code: "TENSOR_DISPOSED" }));
  });

  it("a weight arrives in pieces, in any order; what does not fit is refused and freed", async () => {
    const { device } = suite;
    const before = device.memory().liveBytes;
    const halves = Uint16Array.from({ length: 12 }, (_, at) => toF16Bits(at / 4));
    const bytes = new Uint8Array(halves.buffer);
    const inPieces = async function* (...starts: number[]) {
      for (const byteOffset of starts)
        yield { byteOffset, bytes: bytes.subarray(byteOffset, byteOffset + 8) };
    };
    const weight = await device.streamStoredWeight(inPieces(8, 16, 0), [3, 4], "f16");
    const values = weight.dequantize();
    expect([...(await values.floats())]).toEqual(Array.from({ length: 12 }, (_, at) => at / 4));
    values.dispose();
    weight.dispose();
    const missing = device.streamStoredWeight(inPieces(0, 8), [3, 4], "f16");
    await expect(missing).rejects.toThrow("[3, 4] of f16 takes 24 bytes, but the data has 16");
    const beyond = device.streamStoredWeight(inPieces(0, 8, 16), [2, 4], "f16");
    await expect(beyond).rejects.toThrow(expect.objectContaining({ code: "SHAPE_DATA" }));
    expect(device.memory().liveBytes).toBe(before);
  });

  it("shapes, bytes and devices that do not fit are refused, naming both", () => {
    const { device, reference } = suite;
    const before = device.memory().liveBytes;
    const refused = (run: () => unknown, code: string, text: string) => {
      device.scope(() => {
        expect(run).toThrow(expect.objectContaining({ code }));
        expect(run).toThrow(text);
      });
    };
    const bytes = new Uint8Array(40);
    const make = (shape: number[], format: StoredFormat) =>
      device.storedWeight(bytes, shape, format);
    refused(
      () => make([2, 33], "q4_1"),
      "STORED_BLOCKS",
      "rows of 33, but q4_1 comes in blocks of 32",
    );
    refused(() => make([1, 128], "q4_k"), "STORED_BLOCKS", "blocks of 256");
    refused(() => make([3, 32], "q4_1"), "SHAPE_DATA", "takes 60 bytes, but the data has 40");
    refused(() => make([64], "q4_1"), "SHAPE_RANK", "[64], expected [out, in]");
    refused(() => make([2, 32], "q4_1").rows(1, 3), "SHAPE_RANGE", "[2, 32]");
    const x = (size: number) => device.zeros([3, size]);
    refused(
      () => linear(x(33), make([2, 32], "q4_1")),
      "SHAPE_MISMATCH",
      "x of shape [3, 33] and weight of shape [2, 32]",
    );
    refused(
      () => linear(x(32), make([2, 32], "q4_1"), x(2)),
      "SHAPE_MISMATCH",
      "weight of shape [2, 32] and bias of shape [3, 2]",
    );
    refused(
      () => linear(convert(x(32), "bf16"), make([2, 32], "q4_1")),
      "DTYPE_MISMATCH",
      "dtype bf16",
    );
    reference.scope(() => {
      const elsewhere = reference.storedWeight(bytes, [2, 32], "q4_1");
      if (device !== reference)
        refused(() => linear(x(32), elsewhere), "DEVICE_MISMATCH", "on two devices");
    });
    expect(device.memory().liveBytes).toBe(before);
  });
}

/** The product in f64, and how far one with a rounded `x` may be from it: half a step of each block, and the roundings of f32. */
function boundedProduct(
  x: Float32Array,
  weights: Float32Array,
): { readonly product: number; readonly bound: number } {
  let [product, bound] = [0, 0];
  for (let start = 0; start < x.length; start += 32) {
    const block = x.subarray(start, start + 32);
    const step = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 32_767;
    for (const [at, value] of block.entries()) {
      const weight = weights[start + at] ?? Number.NaN;
      product += value * weight;
      // A tie may be rounded either way, and the factor by which x is scaled is rounded as well.
      bound += Math.abs(weight) * (0.501 * step + 4e-6 * Math.abs(value));
    }
  }
  // Formats with a minimum subtract sums of the size of 16 steps of a block's scale.
  return { product, bound: bound * 1.001 + Math.abs(product) * 1e-6 };
}

function formatOf(name: string): StoredFormat {
  const found = storedFormats.find((format) => format === name);
  if (found === undefined) throw new TypeError(`the golden's format ${name} is unknown`);
  return found;
}

type GoldenDevice = Suite["device"];

function goldenWeight(
  device: GoldenDevice,
  golden: Readonly<Record<string, Packed>> & { readonly format: string },
  format: StoredFormat,
): StoredWeight {
  const shape = golden["values"]?.shape ?? [];
  return device.storedWeight(bytesOf(golden["bytes"]), shape, format);
}

function unpacked(device: GoldenDevice, packed: Packed | undefined) {
  if (packed === undefined) throw new TypeError("the golden lacks a tensor");
  return unpack(device, packed);
}

function bytesOf(packed: Packed | undefined): Uint8Array {
  return Uint8Array.from(atob(packed?.u8 ?? ""), (character) => character.charCodeAt(0));
}

function lengthOf(packed: Packed | undefined): number {
  return (packed?.shape ?? [0]).reduce((product, size) => product * size, 1);
}

/** Bit for bit, but any NaN is as good as another. */
function bits(values: Float32Array | Int32Array | undefined): number[] {
  const floats = values instanceof Float32Array ? values : new Float32Array();
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  return Array.from(words, (word, at) => (Number.isNaN(floats[at]) ? -1 : word));
}
