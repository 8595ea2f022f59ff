import { open, readFile } from "node:fs/promises";
import { FormatError, IoError } from "@latentkit/core";
import { type AnswerLog, type LoggedAnswer, loggedAnswerSchema } from "../judge/answer-log.ts";
import { isMissing } from "./file-checkpoint.ts";

/** An answer file, held open. */
export interface AnswerFile extends AnswerLog, AsyncDisposable {
  /** Answers that were in it when it was opened. */
  readonly found: number;
  close(): Promise<void>;
}

/**
 * Answers of a judge in a file of JSON lines, each flushed to the disk before it is used. A line that a kill cut off at the end is
 * dropped; its question is asked again.
 *
 * @throws FormatError `ANSWERS_FILE` for a line in the middle that is not an answer; IoError `FILE_FAILED`
 */
export async function openAnswerFile(path: string): Promise<AnswerFile> {
  const answers = new Map<string, LoggedAnswer>();
  const { lines, bytes } = await readLines(path);
  for (const [index, line] of lines.entries()) {
    const { key, ...answer } = parseLine(line, `${path}:${index + 1}`);
    answers.set(key, answer);
  }
  const file = await open(path, "a").catch((cause: unknown) => {
    throw failed(path, cause);
  });
  await file.truncate(bytes);
  let writing: Promise<unknown> = Promise.resolve();
  const close = async (): Promise<void> => {
    await writing;
    await file.close();
  };
  return {
    found: answers.size,
    get: (key) => answers.get(key),
    async put(key, answer) {
      // One write at a time, so that lines stay whole.
      const before = writing;
      const mine = (async () => {
        await before;
        await file.appendFile(`${JSON.stringify({ key, ...answer })}\n`);
        await file.datasync();
      })();
      writing = mine.catch(() => undefined);
      await mine.catch((cause: unknown) => {
        throw failed(path, cause);
      });
      answers.set(key, answer);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Whole lines, and how many bytes they take. */
async function readLines(
  path: string,
): Promise<{ readonly lines: readonly string[]; readonly bytes: number }> {
  let text: Buffer;
  try {
    text = await readFile(path);
  } catch (cause) {
    if (isMissing(cause)) return { lines: [], bytes: 0 };
    throw failed(path, cause);
  }
  const bytes = text.lastIndexOf(0x0a) + 1;
  const lines = text.subarray(0, bytes).toString("utf8").split("\n").slice(0, -1);
  return { lines, bytes };
}

function parseLine(line: string, where: string): LoggedAnswer & { readonly key: string } {
  let value: unknown = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Told below.
  }
  const parsed = loggedAnswerSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "ANSWERS_FILE",
    message: "the line is not an answer of a judge",
    fix: "remove the line, or use another file",
    where,
    cause: parsed.error,
  });
}

function failed(path: string, cause: unknown): IoError {
  return new IoError({
    code: "FILE_FAILED",
    message: `the file cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
    fix: "check the path, its permissions, and the space on the disk",
    where: path,
    cause,
  });
}
