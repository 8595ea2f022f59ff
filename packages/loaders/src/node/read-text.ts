import { FormatError } from "@latentkit/core";
import { readFile } from "node:fs/promises";
import { asIoError } from "./io-errors.ts";

/**
 * Reads a text file in UTF-8, without a byte order mark at its start.
 *
 * Throws {@link FormatError} `TEXT_ENCODING` for what is not UTF-8; `IoError` where the file cannot be read.
 */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw asIoError(error, path);
  });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError({
      code: "TEXT_ENCODING",
      message: "the file is not text in UTF-8",
      fix: "give a text file, saved as UTF-8",
      where: path,
      cause,
    });
  }
}
