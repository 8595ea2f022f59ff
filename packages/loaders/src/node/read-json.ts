import { FormatError } from "@latentkit/core";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { asIoError } from "./io-errors.ts";

/**
 * Reads a JSON file and checks it by a schema.
 *
 * Throws {@link FormatError} `JSON_SYNTAX` for what is not JSON and `JSON_SCHEMA` for what is not of the expected form;
 * `IoError` where the file cannot be read.
 */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw asIoError(error, path);
  });
  return parseJson(bytes, path, schema);
}

/** The same of bytes that have been read; `path` is what messages call them. */
export function parseJson<T>(bytes: Uint8Array, path: string, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(parse(bytes, path));
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "JSON_SCHEMA",
    message: `the file is not of the expected form: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
    fix: "correct the named fields, or get the file again",
    where: path,
  });
}

function parse(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError({
      code: "JSON_SYNTAX",
      message: `the file is not JSON in UTF-8: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "correct the file, or get it again",
      where: path,
      cause,
    });
  }
}
