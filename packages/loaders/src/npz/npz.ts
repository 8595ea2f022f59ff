import { ConfigError, FormatError } from "@latentkit/core";
import { encodeNpy, type NpyArray, type NpyArrayToWrite, parseNpy } from "./npy.ts";
import { readZip } from "./read-zip.ts";
import { writeZip } from "./write-zip.ts";

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
  const files = await readZip(bytes, where, options.signal);
  const arrays = new Map<string, NpyArray>();
  for (const [name, content] of files) {
    if (!name.endsWith(suffix)) {
      throw new FormatError({
        code: "NPZ_ARCHIVE",
        message: `the archive cannot be read: it holds "${name}", which is no array`,
        fix: "give a file that numpy.savez wrote",
        where,
      });
    }
    arrays.set(name.slice(0, -suffix.length), parseNpy(content, `${where}: ${name}`));
  }
  return arrays;
}
