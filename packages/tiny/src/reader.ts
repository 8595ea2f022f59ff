import { FormatError, throwIfAborted } from "@latentkit/core";
import type { ByteSource } from "@latentkit/loaders";

/**
 * Opens one file of the data folder by its name in `tinyFiles`, for example `"base/config.json"`. The loader closes the source.
 * `fetchTiny` makes one for browsers; the Node entry has its own.
 */
export type TinyReader = (name: string, signal?: AbortSignal) => Promise<ByteSource>;

/** The whole of a small file, as JSON. Throws FormatError `TINY_JSON`. */
export async function readJsonFile(
  read: TinyReader,
  name: string,
  signal?: AbortSignal,
): Promise<unknown> {
  throwIfAborted(signal);
  const source = await read(name, signal);
  try {
    const bytes = await source.read(0, source.size, signal);
    const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return parsed;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    throw new FormatError({
      code: "TINY_JSON",
      message: `${name} is not JSON in UTF-8: ${error.message}`,
      fix: "the data of @latentkit/tiny is damaged: install the package again, or check what the server answers",
      where: source.name,
      cause: error,
    });
  } finally {
    await source.close();
  }
}
