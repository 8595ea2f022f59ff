import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { FormatError, IoError, LatentkitError, throwIfAborted } from "@latentkit/core";
import { firstInvalidUtf8 } from "../utf8.ts";

/** The bytes of a file, unpacked if its name ends in `.gz`. Closes the file when the reader stops early. */
export async function* fileChunks(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  await checkFile(path);
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  const unpack = path.endsWith(".gz") ? createGunzip() : null;
  if (unpack !== null) {
    file.on("error", (error) => unpack.destroy(error));
    file.pipe(unpack);
  }
  try {
    for await (const chunk of unpack ?? file) {
      throwIfAborted(signal);
      // Streams without an encoding give buffers, which their types do not say.
      yield chunk as Uint8Array;
    }
  } catch (error) {
    if (LatentkitError.isInstance(error)) throw error;
    throw readError(path, error);
  } finally {
    file.destroy();
    unpack?.destroy();
  }
}

/** One line of a file, without its end. */
export interface Line {
  readonly bytes: Uint8Array;
  /** Counted from 1. */
  readonly number: number;
  /** Of the line's first byte, counted in the unpacked file. */
  readonly offset: number;
}

/** Lines of a file as bytes: a line feed is never part of another UTF-8 sequence, so lines can be told apart undecoded. */
export async function* fileLines(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Line> {
  let pieces: Uint8Array[] = [];
  let offset = 0;
  let number = 1;
  for await (const chunk of fileChunks(path, signal)) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      if (end < 0) break;
      pieces.push(chunk.subarray(start, end));
      const bytes = joinBytes(pieces);
      yield { bytes, number, offset };
      offset += bytes.length + 1;
      number += 1;
      pieces = [];
      start = end + 1;
    }
    if (start < chunk.length) pieces.push(chunk.subarray(start));
  }
  if (pieces.length > 0) yield { bytes: joinBytes(pieces), number, offset };
}

/**
 * Decodes UTF-8; a byte order mark at the start of a file is dropped.
 *
 * @param line the first line's number and its byte offset in the file
 * @throws FormatError `TEXT_NOT_UTF8` with the byte's offset and line
 */
export function decodeText(
  bytes: Uint8Array,
  path: string,
  line: { number: number; offset: number },
): string {
  const at = firstInvalidUtf8(bytes);
  if (at < 0) return new TextDecoder("utf-8", { ignoreBOM: line.offset > 0 }).decode(bytes);
  const number = line.number + bytes.subarray(0, at).filter((byte) => byte === 0x0a).length;
  const value = (bytes[at] ?? 0).toString(16).padStart(2, "0");
  const unpacked = path.endsWith(".gz") ? " of the unpacked file" : "";
  const utf16 =
    line.offset + at === 0 &&
    ["fffe", "feff"].includes(Buffer.from(bytes.subarray(0, 2)).toString("hex"));
  throw new FormatError({
    code: "TEXT_NOT_UTF8",
    message: `byte 0x${value} at offset ${line.offset + at}${unpacked} (line ${number}) is not UTF-8${utf16 ? "; the file looks like UTF-16" : ""}`,
    fix: `convert the file: iconv -f ${utf16 ? "UTF-16" : "WINDOWS-1252"} -t UTF-8 OLD > NEW`,
    where: path,
  });
}

/** One array out of several; a single one is not copied. */
export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) return first;
  return Buffer.concat(pieces);
}

async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    throw readError(path, error);
  });
  if (!found.isDirectory()) return;
  throw new IoError({
    code: "FILE_IS_FOLDER",
    message: "is a folder, but a text file was expected",
    fix: "name the files in it: .txt or .jsonl, plain or .gz",
    where: path,
  });
}

function readError(path: string, error: unknown): LatentkitError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new IoError({
      code: "FILE_MISSING",
      message: "there is no such file",
      fix: "check the path; it is taken from the folder that the program runs in",
      where: path,
      cause: error,
    });
  }
  if (code.startsWith("Z_")) {
    return new FormatError({
      code: "TEXT_GZIP",
      message: `the name ends in .gz, but the bytes are not a whole gzip file (${code})`,
      fix: "get the file again, or drop .gz from the name of a file that is not packed",
      where: path,
      cause: error,
    });
  }
  return new IoError({
    code: code === "EACCES" || code === "EPERM" ? "FILE_DENIED" : "FILE_FAILED",
    message: `the file cannot be read (${code})`,
    fix: "check the file's permissions and the disk",
    where: path,
    cause: error,
  });
}
