import { FormatError, IoError, throwIfAborted } from "@latentkit/core";
import { open } from "node:fs/promises";
import { checkRange } from "../byte-source.ts";
import type { ByteSource } from "../byte-source.ts";
import { asIoError } from "./io-errors.ts";

/**
 * A file as a source. It stays open until `close`.
 *
 * Throws {@link IoError}: `FILE_MISSING`, `FILE_DENIED`, `FILE_IS_FOLDER`.
 */
export async function openFile(path: string): Promise<ByteSource> {
  try {
    const handle = await open(path, "r");
    const stats = await handle.stat();
    if (stats.isDirectory()) {
      await handle.close();
      throw new IoError({
        code: "FILE_IS_FOLDER",
        message: "it is a folder, and a file was expected",
        fix: "give the path of a file",
        where: path,
      });
    }
    const { size } = stats;
    const readInto = async (
      offset: number,
      target: Uint8Array<ArrayBuffer>,
      signal?: AbortSignal,
    ): Promise<void> => {
      throwIfAborted(signal);
      const { length } = target;
      checkRange({ name: path, size }, offset, length);
      for (let done = 0; done < length;) {
        throwIfAborted(signal);
        const wanted = Math.min(length - done, 2 ** 26);
        const { bytesRead } = await handle.read(target, done, wanted, offset + done);
        if (bytesRead === 0) throw shrunk(path, offset + done);
        done += bytesRead;
      }
    };
    return {
      name: path,
      size,
      async read(offset, length, signal) {
        throwIfAborted(signal);
        checkRange({ name: path, size }, offset, length);
        const bytes = new Uint8Array(length);
        await readInto(offset, bytes, signal);
        return bytes;
      },
      readInto,
      close: () => handle.close(),
    };
  } catch (error) {
    throw asIoError(error, path);
  }
}

function shrunk(path: string, at: number): FormatError {
  return new FormatError({
    code: "SOURCE_TRUNCATED",
    message: `the file ended at byte ${at}, earlier than when it was opened`,
    fix: "something is writing to the file: wait until it is done",
    where: path,
  });
}
