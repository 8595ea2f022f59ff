import { ConfigError, FormatError } from "@latentkit/core";
import { type ByteSource, checkRange } from "../byte-source.ts";
import { encodeNpy, npyInfo, type NpyArray, type NpyArrayToWrite, parseNpy } from "./npy.ts";
import { findTensor, type TensorInfo, type TensorStore } from "../tensor-store.ts";
import { openZip, type ZipArchive, type ZipEntry } from "../zip/open-zip.ts";
import { writeZip } from "../zip/write-zip.ts";
import { method } from "../zip/zip-layout.ts";

const suffix = ".npy";
/** Without control characters, path separators and backslashes, so that a name is a name for whatever unpacks the file. */
const plainName = /^[^\p{Cc}/\\]+$/u;

/**
 * A `.npz` file, as `numpy.savez` writes them: named arrays in an uncompressed zip archive, in the order given. The same arrays give
 * the same bytes.
 *
 * @throws ConfigError `NPZ_TO_WRITE` for values that do not fill their shape, for a name with a slash, or for 4 GiB and more
 *
 * @example
 * const bytes = encodeNpz({ W_dec: { shape: [2, 3], values: Float32Array.of(1, 2, 3, 4, 5, 6) } });
 */
export function encodeNpz(
  arrays: Readonly<Record<string, NpyArrayToWrite>>,
): Uint8Array<ArrayBuffer> {
  return writeZip(
    Object.entries(arrays).map(([name, array]) => {
      if (!plainName.test(name)) {
        throw new ConfigError({
          code: "NPZ_TO_WRITE",
          message: `"${name}" cannot be an array's name`,
          fix: "give a name without slashes, backslashes and control characters",
        });
      }
      return { name: `${name}${suffix}`, bytes: encodeNpy(array) };
    }),
  );
}

/**
 * Parses a `.npz` file of `numpy.savez` or `numpy.savez_compressed`, all of whose arrays are f16, f32 or f64. No pickle is executed: a
 * file with an array of Python objects is refused.
 *
 * @param where what messages call the file
 * @throws FormatError `NPZ_ARCHIVE`, `NPY_HEADER`, `NPY_TYPE`, `NPY_SIZE`; AbortedError `ABORTED`
 *
 * @example
 * const threshold = (await parseNpz(bytes, "params.npz")).get("threshold")?.values;
 */
export async function parseNpz(
  bytes: Uint8Array<ArrayBuffer>,
  where: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ReadonlyMap<string, NpyArray>> {
  const { archive, entries } = await openArchive(viewSource(bytes, where), options.signal);
  const arrays = new Map<string, NpyArray>();
  for (const [name, entry] of entries)
    arrays.set(
      name,
      parseNpy(await archive.read(entry, options.signal), `${where}: ${entry.name}`),
    );
  return arrays;
}

/** The arrays of a `.npz` file, read when asked for. */
export type NpzStore = Pick<
  TensorStore,
  "close" | "has" | "info" | "name" | "names" | "readFloats"
>;

/** Bytes of an entry that are read for its header: numpy's have 128. */
const headerBytes = 4096;

/**
 * Opens a `.npz` file as {@link parseNpz} reads it, but only its directory and the headers of its arrays (of compressed ones all, which are
 * not kept); arrays are read when asked for. Closing it closes the source.
 *
 * @throws FormatError `NPZ_ARCHIVE`, `NPY_HEADER`, `NPY_TYPE`, `NPY_SIZE`; AbortedError `ABORTED`
 *
 * @example
 * const store = await openNpz(await openFile("params.npz"));
 * const threshold = await store.readFloats("threshold");
 */
export async function openNpz(source: ByteSource, signal?: AbortSignal): Promise<NpzStore> {
  const { archive, entries } = await openArchive(source, signal);
  const infos = new Map<string, TensorInfo>();
  for (const [name, entry] of entries) {
    const { size, packedSize } = entry;
    const stored = entry.method === method.stored && size === packedSize;
    const start = stored
      ? await source.read(await archive.start(entry, signal), Math.min(size, headerBytes), signal)
      : await archive.read(entry, signal);
    const { shape, dtype, count } = npyInfo(start, size, `${source.name}: ${entry.name}`);
    const [format, width] = formats[dtype];
    infos.set(name, { name, shape, format, byteLength: width * count });
  }
  const names = [...infos.keys()].sort();
  return {
    name: source.name,
    names: () => names,
    has: (name) => infos.has(name),
    info: (name) => findTensor(infos, name, source.name),
    async readFloats(name, options) {
      const entry = findTensor(entries, name, source.name);
      const content = await archive.read(entry, options?.signal);
      return parseNpy(content, `${source.name}: ${entry.name}`).values;
    },
    close: () => source.close(),
  };
}

const formats = { f16: ["F16", 2], f32: ["F32", 4], f64: ["F64", 8] } as const;

/** An archive and its entries by the names of their arrays. */
async function openArchive(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<{
  readonly archive: ZipArchive;
  readonly entries: ReadonlyMap<string, ZipEntry>;
}> {
  const fault = (message: string): FormatError =>
    new FormatError({
      code: "NPZ_ARCHIVE",
      message: `the archive cannot be read: ${message}`,
      fix: "get the file again, or write it with numpy.savez",
      where: source.name,
    });
  const archive = await openZip(source, fault, signal);
  const entries = new Map<string, ZipEntry>();
  for (const [name, entry] of archive.entries) {
    if (!name.endsWith(suffix)) throw fault(`it holds "${name}", which is no array`);
    entries.set(name.slice(0, -suffix.length), entry);
  }
  return { archive, entries };
}

/** A source that gives views of its bytes, for readers that do not keep them. */
function viewSource(bytes: Uint8Array<ArrayBuffer>, name: string): ByteSource {
  const size = bytes.byteLength;
  return {
    name,
    size,
    async read(offset, length) {
      checkRange({ name, size }, offset, length);
      return bytes.subarray(offset, offset + length);
    },
    async close() {},
  };
}
