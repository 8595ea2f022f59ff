import { describe, expect, it } from "vitest";
import { errorOf, loadBytes } from "../__fixtures__/load.ts";
import { encodeNpy } from "./npy.ts";
import { encodeNpz, parseNpz } from "./npz.ts";
import { fixedSize, inZip64, signature, zip64Tag } from "../zip/zip-layout.ts";
import { writeZip } from "../zip/write-zip.ts";

const values = Float32Array.of(1, -2);

/** An archive of one array, its sizes and places moved to zip64 records: what numpy writes beyond 4 GiB. */
function wide(change: (view: DataView, place: { readonly end64: number }) => void = () => {}) {
  const plain = encodeNpz({ a: { shape: [2], values } });
  const nameLength = "a.npy".length;
  const directory = plain.length - fixedSize.end - fixedSize.central - nameLength;
  const extra = 4 + 24;
  const end64 = directory + fixedSize.central + nameLength + extra;
  const end = end64 + fixedSize.end64 + fixedSize.locator64;
  const bytes = new Uint8Array(end + fixedSize.end);
  bytes.set(plain.subarray(0, directory + fixedSize.central + nameLength));
  bytes.set(plain.subarray(-fixedSize.end), end);
  const view = new DataView(bytes.buffer);

  const size = view.getUint32(directory + 24, true);
  view.setUint32(directory + 20, inZip64.long, true);
  view.setUint32(directory + 24, inZip64.long, true);
  view.setUint16(directory + 30, extra, true);
  view.setUint32(directory + 42, inZip64.long, true);
  const field = directory + fixedSize.central + nameLength;
  view.setUint16(field, zip64Tag, true);
  view.setUint16(field + 2, 24, true);
  for (const [index, value] of [size, size, 0].entries())
    view.setBigUint64(field + 4 + 8 * index, BigInt(value), true);

  view.setUint32(end64, signature.end64, true);
  view.setBigUint64(end64 + 32, 1n, true);
  view.setBigUint64(end64 + 40, BigInt(end64 - directory), true);
  view.setBigUint64(end64 + 48, BigInt(directory), true);
  view.setUint32(end64 + fixedSize.end64, signature.locator64, true);
  view.setBigUint64(end64 + fixedSize.end64 + 8, BigInt(end64), true);
  view.setUint16(end + 10, inZip64.short, true);
  view.setUint32(end + 12, inZip64.long, true);
  view.setUint32(end + 16, inZip64.long, true);
  change(view, { end64 });
  return bytes;
}

describe("zip64", () => {
  it("is read", async () => {
    const array = (await parseNpz(wide(), "wide.npz")).get("a");
    expect(array).toEqual({ shape: [2], dtype: "f32", values });
  });

  it.each([
    ["a directory beyond all files", 48, 2n ** 60n, /names byte/u],
    ["a directory beyond this file", 48, 2n ** 40n, /does not fit/u],
    ["a size beyond this file", -24, 2n ** 33n, /not those/u],
    ["a packed size beyond this file", -16, 2n ** 33n, /takes 8589934592 bytes/u],
    ["a place beyond this file", -8, 2n ** 33n, /no local record/u],
    ["more files than there are", 32, 2n ** 50n, /record/u],
  ] as const)("with %s is refused", async (_, from, value, says) => {
    const bytes = wide((view, { end64 }) => {
      // Just before the end's record are the three numbers of the entry: size, packed size, place.
      view.setBigUint64(end64 + from, value, true);
    });
    const error = await errorOf(() => parseNpz(bytes, "wide.npz"));
    expect(error.code).toBe("NPZ_ARCHIVE");
    expect(error.message).toMatch(says);
  });

  it("that lacks its numbers is refused", async () => {
    const bytes = wide((view, { end64 }) => view.setUint16(end64 - 28, 2, true));
    const error = await errorOf(() => parseNpz(bytes, "wide.npz"));
    expect(error.message).toMatch(/lacks a size in 64 bits/u);
  });

  it("cut short anywhere is refused", async () => {
    const bytes = wide();
    for (let length = 0; length < bytes.length; length++) {
      const error = await errorOf(() => parseNpz(bytes.slice(0, length), "cut"));
      expect(error.code, `${length} bytes`).toBe("NPZ_ARCHIVE");
    }
  });
});

it.each(["stored.npz", "deflated.npz", "ours.npz"])(
  "%s cut at any byte is refused",
  async (name) => {
    const bytes = loadBytes(`../npz/__fixtures__/${name}`);
    for (let length = 0; length < bytes.length; length++) {
      const error = await errorOf(() => parseNpz(bytes.slice(0, length), "cut"));
      expect(error.code, `${length} bytes`).toBe("NPZ_ARCHIVE");
    }
  },
);

it("a header of format 3.0 is read, in UTF-8 and with a length of 32 bits", async () => {
  const first = encodeNpy({ shape: [2], values, dtype: "f16" });
  const data = first.subarray(first.length - 4);
  const length = first.length - 4 - 10;
  const bytes = new Uint8Array(12 + length + data.length);
  bytes.set(first.subarray(0, 6));
  bytes.set([3, 0], 6);
  new DataView(bytes.buffer).setUint32(8, length, true);
  bytes.set(first.subarray(10, 10 + length), 12);
  bytes.set(data, 12 + length);
  const array = (await parseNpz(writeZip([{ name: "é.npy", bytes }]), "v3")).get("é");
  expect(array).toEqual({ shape: [2], dtype: "f16", values });
});

it("a shape whose product no number holds is refused", async () => {
  const good = encodeNpy({ shape: [2], values });
  for (const shape of ["(3037000500, 3037000500)", "(9007199254740991, 0, 2)", "(4294967296,)"]) {
    const header = `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }\n`;
    const bytes = new Uint8Array(10 + header.length + 8);
    bytes.set(good.subarray(0, 8));
    new DataView(bytes.buffer).setUint16(8, header.length, true);
    bytes.set(new TextEncoder().encode(header), 10);
    const error = await errorOf(() => parseNpz(writeZip([{ name: "a.npy", bytes }]), "x"));
    expect(error.code, shape).toBe("NPY_SIZE");
  }
});

it("one file under many names is refused before it is unpacked as often", async () => {
  const names = ["a.npy", "b.npy", "c.npy"];
  const bytes = writeZip(
    names.map((name, index) => ({
      name,
      bytes:
        index === 0 ? encodeNpy({ shape: [100], values: new Float32Array(100) }) : new Uint8Array(),
    })),
  );
  const view = new DataView(bytes.buffer);
  const step = fixedSize.central + 5;
  const directory = bytes.length - fixedSize.end - names.length * step;
  // Checksum, both sizes and the place of the first for all.
  for (const index of [1, 2]) {
    for (const field of [16, 20, 24, 42])
      view.setUint32(
        directory + index * step + field,
        view.getUint32(directory + field, true),
        true,
      );
  }
  const error = await errorOf(() => parseNpz(bytes, "overlapping"));
  expect(error.code).toBe("NPZ_ARCHIVE");
  expect(error.message).toMatch(/overlap/u);
});
