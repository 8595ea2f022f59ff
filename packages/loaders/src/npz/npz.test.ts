import { deflateRawSync } from "node:zlib";
import { fc, test } from "@fast-check/vitest";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { errorOf, loadBytes as load, loadJson } from "../__fixtures__/load.ts";
import { exampleArrays } from "./__fixtures__/example-arrays.ts";
import { crc32 } from "../zip/crc32.ts";
import { parseNpyHeader } from "./npy-header.ts";
import { encodeNpy, type NpyDType } from "./npy.ts";
import { bytesSource } from "../byte-source.ts";
import { encodeNpz, openNpz, parseNpz } from "./npz.ts";
import { writeZip } from "../zip/write-zip.ts";

// Made by oracles/npz: numpy's archives, and what numpy reads from ours.
const loadBytes = (name: string) => load(`../npz/__fixtures__/${name}`);

interface Golden {
  readonly shape: readonly number[];
  readonly values: readonly string[];
}
const numpyWrote = loadJson<Readonly<Record<string, Golden & { readonly dtype: NpyDType }>>>(
  "../npz/__fixtures__/values.json",
);

describe("parseNpz", () => {
  it.each(["stored.npz", "deflated.npz"])("reads numpy's %s", async (name) => {
    const arrays = await parseNpz(loadBytes(name), name);
    expect([...arrays.keys()]).toEqual(Object.keys(numpyWrote));
    for (const [key, { shape, dtype, values }] of Object.entries(numpyWrote)) {
      const array = arrays.get(key)!;
      expect(array.shape, key).toEqual(shape);
      expect(array.dtype, key).toBe(dtype);
      expect(array.values, key).toEqual(Float32Array.from(values, Number));
    }
  });

  it("reads headers of format 2.0", async () => {
    const arrays = await parseNpz(loadBytes("version-2.npz"), "v2");
    expect(arrays.get("W_enc")?.values).toEqual(
      Float32Array.from(numpyWrote["W_enc"]!.values, Number),
    );
  });

  it.each([
    ["fortran.npz", "NPY_TYPE", /column by column/u],
    ["objects.npz", "NPY_TYPE", /type \|O/u],
    ["integers.npz", "NPY_TYPE", /<i8/u],
    ["fields.npz", "NPY_TYPE", /type record/u],
    ["big-endian.npz", "NPY_TYPE", />f4/u],
  ])("refuses %s", async (name, code, says) => {
    const error = await errorOf(() => parseNpz(loadBytes(name), name));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(says);
    expect(error.where).toContain(name);
    expect(existsSync("npz-trap-was-run")).toBe(false);
  });

  it("stops when told to", async () => {
    const signal = AbortSignal.abort();
    await expect(parseNpz(loadBytes("stored.npz"), "x", { signal })).rejects.toMatchObject({
      code: "ABORTED",
    });
  });
});

describe("encodeNpz", () => {
  it("writes what numpy was shown", async () => {
    expect(encodeNpz(exampleArrays())).toEqual(loadBytes("ours.npz"));
    const { read } = loadJson<{
      readonly read: Readonly<
        Record<string, Golden & { readonly dtype: string; readonly c_order: boolean }>
      >;
    }>("../npz/__fixtures__/ours.json");
    const ours = await parseNpz(loadBytes("ours.npz"), "ours.npz");
    expect(Object.keys(read)).toEqual([...ours.keys()]);
    for (const [key, array] of ours) {
      const numpy = read[key]!;
      expect(numpy.dtype, key).toBe(array.dtype === "f16" ? "<f2" : "<f4");
      expect(numpy.shape, key).toEqual(array.shape);
      expect(numpy.c_order, key).toBe(true);
      expect(Float32Array.from(numpy.values, Number), key).toEqual(array.values);
    }
  });

  it("starts data where numpy does, at a multiple of 64", () => {
    for (const rank of [0, 1, 5, 9]) {
      const shape = Array.from({ length: rank }, () => 1);
      const bytes = encodeNpy({ shape, values: Float32Array.of(1) });
      expect((bytes.length - 4) % 64).toBe(0);
    }
  });

  it.each([
    { a: { shape: [2, 3], values: new Float32Array(5) } },
    { "../a": { shape: [1], values: new Float32Array(1) } },
    { "": { shape: [1], values: new Float32Array(1) } },
  ])("refuses what is no array, case %#", async (arrays) => {
    expect((await errorOf(() => encodeNpz(arrays))).code).toBe("NPZ_TO_WRITE");
  });

  test.prop([
    fc.dictionary(
      fc.stringMatching(/^[\w é.-]{1,12}$/u),
      fc.tuple(
        fc.integer({ min: 0, max: 4 }),
        fc.array(fc.float({ noNaN: true }), { maxLength: 6 }),
      ),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ])("comes back as it was", async (given) => {
    const arrays = Object.fromEntries(
      Object.entries(given).map(([name, [rows, values]]) => [
        name,
        {
          shape: [rows, values.length],
          values: Float32Array.from(
            { length: rows * values.length },
            (_, at) => values[at % values.length]!,
          ),
        },
      ]),
    );
    const back = await parseNpz(encodeNpz(arrays), "memory");
    expect([...back.keys()]).toEqual(Object.keys(arrays));
    for (const [name, { shape, values }] of Object.entries(arrays))
      expect(back.get(name)).toEqual({ dtype: "f32", shape, values });
  });
});

describe("damaged archives", () => {
  const good = () => encodeNpz({ a: { shape: [2], values: Float32Array.of(1, 2) } });

  it("that are cut short anywhere", async () => {
    for (const name of ["ours.npz", "deflated.npz"]) {
      const bytes = loadBytes(name);
      for (let length = 0; length < bytes.length; length += 7) {
        const error = await errorOf(() => parseNpz(bytes.slice(0, length), "cut"));
        expect(error.code).toBe("NPZ_ARCHIVE");
      }
    }
  });

  test.prop(
    [fc.nat(), fc.integer({ min: 1, max: 255 }), fc.constantFrom("ours.npz", "deflated.npz")],
    {
      numRuns: 400,
    },
  )("with one byte changed are refused with a code, or read", async (place, change, name) => {
    const bytes = loadBytes(name);
    bytes[place % bytes.length]! ^= change;
    const read = await parseNpz(bytes, "changed").catch((error: unknown) => error);
    if (!(read instanceof Map)) await errorOf(() => Promise.reject(read));
  });

  it("whose numbers were changed are never read", async () => {
    const bytes = good();
    // The last number before the directory of 46 + 5 bytes and the end of 22.
    bytes[bytes.length - 22 - 51 - 2]! ^= 1;
    const error = await errorOf(() => parseNpz(bytes, "changed"));
    expect(error.message).toMatch(/the bytes of "a\.npy" are not those that were put in/u);
  });

  it.each([
    ["another way of packing", 10, 12, /method 12/u],
    ["encryption", 8, 1, /encrypted/u],
    ["a size that is not there", 24, 200, /not those/u],
    ["a place outside the file", 43, 0xff, /no local record/u],
  ])("with %s", async (_, field, value, says) => {
    const bytes = good();
    bytes[bytes.length - 22 - 51 + field] = value;
    const error = await errorOf(() => parseNpz(bytes, "bad"));
    expect(error.code).toBe("NPZ_ARCHIVE");
    expect(error.message).toMatch(says);
  });

  it("that hold less than they say, without making room for it", async () => {
    // A deflated entry by hand: 4 GB announced, a few bytes there.
    const packed = new Uint8Array(deflateRawSync(new Uint8Array(100)));
    const bytes = writeZip([{ name: "a.npy", bytes: packed }]);
    const view = new DataView(bytes.buffer);
    const directory = bytes.length - 22 - 51;
    view.setUint16(directory + 10, 8, true);
    view.setUint32(directory + 24, 0xfffffff0, true);
    expect((await errorOf(() => parseNpz(bytes, "bomb"))).message).toMatch(
      /says to hold 4294967280/u,
    );
    // And one that unpacks to more than it says.
    view.setUint32(directory + 24, 50, true);
    expect((await errorOf(() => parseNpz(bytes, "bomb"))).message).toMatch(/not those/u);
  });

  it("with the same name twice, or with what is no array", async () => {
    const bytes = encodeNpy({ shape: [], values: Float32Array.of(1) });
    const twice = writeZip([
      { name: "a.npy", bytes },
      { name: "a.npy", bytes },
    ]);
    expect((await errorOf(() => parseNpz(twice, "x"))).message).toMatch(/twice/u);
    const text = writeZip([{ name: "readme.txt", bytes }]);
    expect((await errorOf(() => parseNpz(text, "x"))).message).toMatch(/"readme.txt"/u);
  });
});

describe("an array's bytes", () => {
  const parse = (bytes: Uint8Array<ArrayBuffer>) =>
    parseNpz(writeZip([{ name: "a.npy", bytes }]), "x");

  it("must have numpy's mark, a known format and a whole header", async () => {
    const good = encodeNpy({ shape: [2], values: Float32Array.of(1, 2) });
    for (const [at, value] of [
      [0, 0],
      [6, 4],
      [6, 0],
      [9, 0xff],
    ] as const) {
      const bytes = good.slice();
      bytes[at] = value;
      expect((await errorOf(() => parse(bytes))).code, `byte ${at}`).toBe("NPY_HEADER");
    }
    for (const length of [0, 5, 9, 40])
      expect((await errorOf(() => parse(good.slice(0, length)))).code).toBe("NPY_HEADER");
  });

  it("must fill the shape, neither more nor less", async () => {
    const good = encodeNpy({ shape: [2], values: Float32Array.of(1, 2) });
    expect((await errorOf(() => parse(good.slice(0, -1)))).code).toBe("NPY_SIZE");
    const long = new Uint8Array(good.length + 4);
    long.set(good);
    expect((await errorOf(() => parse(long))).code).toBe("NPY_SIZE");
  });
});

describe("an array's header", () => {
  it.each([
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n`, [3, 4]],
    [`{"shape": (3,), "descr": "<f4", "fortran_order": False}`, [3]],
    [`{'descr':'<f4','fortran_order':False,'shape':()}`, []],
    [`{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }`, [3, 4]],
  ])("%s", (text, shape) => {
    expect(parseNpyHeader(text, "x")).toEqual({ descr: "<f4", fortranOrder: false, shape });
  });

  it.each([
    "",
    "{}",
    "[1]",
    "{'descr': '<f4', 'fortran_order': False}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3.5,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
    "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} + 1",
    "{'descr': '<f4', 'descr': '<f2', 'fortran_order': False, 'shape': (3,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 'x'}",
    "{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (3,)}",
    "{'descr': [('a', '<f4'), 'fortran_order': False, 'shape': (3,)}",
  ])("is refused: %s", async (text) => {
    expect((await errorOf(() => parseNpyHeader(text, "x"))).code).toBe("NPY_HEADER");
  });
});

it("the checksum is that of the standard", () => {
  expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array())).toBe(0);
});

describe("openNpz", () => {
  it.each(["stored.npz", "deflated.npz", "version-2.npz", "ours.npz"])(
    "%s: the same arrays, one at a time",
    async (name) => {
      const whole = await parseNpz(load(`../npz/__fixtures__/${name}`), name);
      const store = await openNpz(bytesSource(load(`../npz/__fixtures__/${name}`), name));
      expect(store.names()).toEqual([...whole.keys()].sort());
      for (const [array, { shape, values, dtype }] of whole) {
        expect(store.info(array)).toMatchObject({ shape, format: dtype.toUpperCase() });
        expect(await store.readFloats(array)).toEqual(values);
      }
      expect(() => store.info("none-such")).toThrow(/there is no tensor "none-such"/u);
      await store.close();
    },
  );

  it("reads headers alone until an array is asked for", async () => {
    const values = new Float32Array(50_000);
    const bytes = encodeNpz({
      big: { shape: [50_000], values },
      small: { shape: [1], values: Float32Array.of(3) },
    });
    let read = 0;
    const source = bytesSource(bytes, "counted");
    const store = await openNpz({
      ...source,
      read: (offset, length, signal) => {
        read += length;
        return source.read(offset, length, signal);
      },
    });
    expect(store.info("big")).toMatchObject({
      shape: [50_000],
      format: "F32",
      byteLength: 200_000,
    });
    // The end of the archive, where its directory is, and two headers.
    expect(read).toBeLessThan(80_000);
    expect([...(await store.readFloats("small"))]).toEqual([3]);
  });

  it.each(["objects.npz", "fortran.npz", "integers.npz", "big-endian.npz"])(
    "%s is refused",
    async (name) => {
      const opening = openNpz(bytesSource(load(`../npz/__fixtures__/${name}`), name));
      expect((await errorOf(() => opening)).code).toMatch(/^NP/u);
    },
  );
});
