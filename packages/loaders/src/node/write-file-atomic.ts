import { IoError, throwIfAborted } from "@latentkit/core";
import { randomBytes } from "node:crypto";
import { open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { asIoError } from "./io-errors.ts";

/** What is needed of an open file; tests give one whose disk is full. */
export interface WritableHandle {
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): Promise<{ readonly bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** How a file is written. */
export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** Opens the temporary file; the file system's own unless given. */
  readonly openTemporary?: ((path: string) => Promise<WritableHandle>) | undefined;
}

/**
 * Writes a file so that its path holds either the old content or all of the new: to a temporary name beside it, flushed to the
 * disk, then renamed. Whatever goes wrong, the temporary file is removed.
 *
 * Throws `IoError`: `DISK_FULL`, `FILE_DENIED`, `FILE_MISSING` (no such folder); `AbortedError` once the signal fires.
 *
 * @param data bytes, text (UTF-8), or pieces that are made and written one at a time.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  const openTemporary = options.openTemporary ?? ((name: string) => open(name, "wx"));
  try {
    const handle = await openTemporary(temporary);
    try {
      for await (const piece of toPieces(data)) {
        throwIfAborted(options.signal, `${path} is as it was`);
        await writeAll(handle, piece, path);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    throwIfAborted(options.signal, `${path} is as it was`);
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw asIoError(error, path);
  }
  await syncFolder(dirname(path));
}

function toPieces(
  data: Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof data === "string") return [new TextEncoder().encode(data)];
  return data instanceof Uint8Array ? [data] : data;
}

async function writeAll(handle: WritableHandle, bytes: Uint8Array, path: string): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(
      bytes,
      done,
      Math.min(bytes.length - done, 2 ** 26),
    );
    if (bytesWritten === 0) throw stuckError(path);
    done += bytesWritten;
  }
}

/** A write that takes nothing and reports nothing would go on for ever. */
function stuckError(path: string): IoError {
  return new IoError({
    code: "DISK_FULL",
    message: "the disk takes no more bytes",
    fix: "free some space or write to another disk, then run again",
    where: path,
  });
}

/** Makes the new name itself survive a power cut. Some file systems and Windows cannot; the file is complete all the same. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // Not supported here.
  }
}
