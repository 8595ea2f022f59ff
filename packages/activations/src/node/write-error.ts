import { IoError, LatentkitError } from "@latentkit/core";

/** What the file system's refusal to write means. */
export function writeError(path: string, error: unknown): LatentkitError {
  if (LatentkitError.isInstance(error)) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new IoError({
      code: "DISK_FULL",
      message: "there is no space left on the disk",
      fix: "free some space and run the same command again: finished shards are kept",
      where: path,
      cause: error,
    });
  }
  if (code === "EEXIST" || code === "ENOTDIR") {
    return new IoError({
      code: "OUT_NOT_FOLDER",
      message: "is a file, but a folder was expected",
      fix: "use another --out",
      where: path,
      cause: error,
    });
  }
  return new IoError({
    code: code === "EACCES" || code === "EPERM" || code === "EROFS" ? "FILE_DENIED" : "FILE_FAILED",
    message: `cannot be written to (${code})`,
    fix: "check the folder's permissions, or use another --out",
    where: path,
    cause: error,
  });
}
