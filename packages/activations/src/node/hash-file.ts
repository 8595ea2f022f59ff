import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { throwIfAborted } from "@latentkit/core";

/** SHA-256 and size of a file, or null if there is none. */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly sha256: string; readonly bytes: number } | null> {
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      throwIfAborted(signal);
      // Streams without an encoding give buffers, which their types do not say.
      const piece = chunk as Uint8Array;
      hash.update(piece);
      bytes += piece.length;
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
  return { sha256: hash.digest("hex"), bytes };
}
