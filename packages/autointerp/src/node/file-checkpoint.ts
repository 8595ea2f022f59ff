import { readFile } from "node:fs/promises";
import { IoError } from "@latentkit/core";
import { writeFileAtomic } from "@latentkit/loaders/node";
import type { GatherCheckpoint } from "../gather/gather-examples.ts";

/** A gathering's state in a file, which a kill leaves as it was. The folder has to exist. */
export function fileCheckpoint(path: string): GatherCheckpoint {
  return {
    name: path,
    async load() {
      try {
        return Uint8Array.from(await readFile(path));
      } catch (cause) {
        if (isMissing(cause)) return null;
        throw new IoError({
          code: "FILE_FAILED",
          message: `the file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
          fix: "check the path and its permissions",
          where: path,
          cause,
        });
      }
    },
    save: (bytes) => writeFileAtomic(path, bytes),
  };
}

/** Whether an error of the file system says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
