import { basename } from "node:path";
import { ConfigError, FormatError } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { z } from "zod";
import { chatDocument } from "../document.ts";
import type { TextDocument } from "../document.ts";
import { decodeText, fileChunks, fileLines, joinBytes } from "./text-file.ts";

/**
 * Documents of text files, in the order of the paths and of their lines.
 *
 * - `.txt`, `.md`: the file is one document, its id the file's name.
 * - `.jsonl`, `.ndjson`: one JSON object a line with `text` (a string) or `messages` (`{role, content}`, a chat), and an optional
 *   `id`; without one, the id is `NAME:LINE`. Blank lines are skipped. One line at a time is in memory.
 * - any of these packed, with `.gz` after.
 *
 * @throws IoError `FILE_MISSING`, `FILE_IS_FOLDER`, `FILE_DENIED`, `FILE_FAILED`
 * @throws FormatError `TEXT_EMPTY`, `TEXT_NOT_UTF8` (with the byte's offset), `TEXT_GZIP`, `JSONL_SYNTAX`, `JSONL_FIELDS`
 *   (with file and line)
 * @throws ConfigError `TEXT_FORMAT`, `TEXT_NONE`
 */
export async function* readDocuments(
  paths: readonly string[],
  options: Pick<LongCallOptions, "signal"> = {},
): AsyncGenerator<TextDocument, void, undefined> {
  if (paths.length === 0) {
    throw new ConfigError({
      code: "TEXT_NONE",
      message: "no text file was given",
      fix: "name at least one .txt or .jsonl file",
    });
  }
  const readers = paths.map((path) => ({ path, read: readerOf(path) }));
  for (const { path, read } of readers) yield* read(path, options.signal);
}

type Reader = (
  path: string,
  signal: AbortSignal | undefined,
) => AsyncGenerator<TextDocument, void, undefined>;

function readerOf(path: string): Reader {
  const name = basename(path).toLowerCase().replace(/\.gz$/u, "");
  if (/\.(txt|md)$/u.test(name)) return readText;
  if (/\.(jsonl|ndjson)$/u.test(name)) return readLines;
  throw new ConfigError({
    code: "TEXT_FORMAT",
    message:
      "the ending of the name is not one of .txt, .md, .jsonl, .ndjson or one of these with .gz",
    fix: "rename the file for what it is: .txt for one text, .jsonl for one JSON object a line",
    where: path,
  });
}

async function* readText(path: string, signal: AbortSignal | undefined): ReturnType<Reader> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of fileChunks(path, signal)) chunks.push(chunk);
  const text = decodeText(joinBytes(chunks), path, { number: 1, offset: 0 });
  if (text.trim() === "") throw emptyError(path);
  yield { id: basename(path), text };
}

async function* readLines(path: string, signal: AbortSignal | undefined): ReturnType<Reader> {
  let documents = 0;
  for await (const line of fileLines(path, signal)) {
    const text = decodeText(line.bytes, path, line);
    if (text.trim() === "") continue;
    documents += 1;
    yield parseLine(text, path, line.number);
  }
  if (documents === 0) throw emptyError(path);
}

const documentSchema = z.object({
  id: z.union([z.string(), z.number()]).optional(),
  text: z.string().optional(),
  messages: z
    .array(z.object({ role: z.string(), content: z.string() }))
    .min(1)
    .optional(),
});

function parseLine(text: string, path: string, number: number): TextDocument {
  const where = `${path}:${number}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError({
      code: "JSONL_SYNTAX",
      message: `the line is not JSON (${error instanceof Error ? error.message : String(error)})`,
      fix: "write one whole JSON object on each line",
      where,
      cause: error,
    });
  }
  const parsed = documentSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field =
      issue === undefined || issue.path.length === 0 ? "the line" : `"${issue.path.join(".")}"`;
    throw fieldsError(`${field} is not what was expected: ${issue?.message ?? "unknown"}`, where);
  }
  const { id, text: body, messages } = parsed.data;
  const name = id === undefined ? `${basename(path)}:${number}` : String(id);
  if (messages !== undefined) return chatDocument(name, messages);
  if (body !== undefined) return { id: name, text: body };
  // The schema made sure that it is an object.
  const keys = Object.keys(value as object).map((key) => JSON.stringify(key));
  throw fieldsError(
    `there is no "text" and no "messages"; the keys are ${keys.join(", ") || "none"}`,
    where,
  );
}

function fieldsError(message: string, where: string): FormatError {
  return new FormatError({
    code: "JSONL_FIELDS",
    message,
    fix: `give each line a "text" string, or "messages" as [{"role": "user", "content": "..."}, ...]`,
    where,
  });
}

function emptyError(path: string): FormatError {
  return new FormatError({
    code: "TEXT_EMPTY",
    message: "there is no text in the file",
    fix: "give a file with text; an empty one is often a download or an export that failed",
    where: path,
  });
}
