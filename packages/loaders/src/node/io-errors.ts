import { IoError } from "@latentkit/core";

const known: Readonly<Record<string, readonly [code: string, what: string, fix: string]>> = {
  ENOENT: ["FILE_MISSING", "there is no such file or folder", "check the path"],
  EACCES: ["FILE_DENIED", "permission was denied", "change the permissions or use another path"],
  EPERM: ["FILE_DENIED", "permission was denied", "change the permissions or use another path"],
  EROFS: ["FILE_DENIED", "the file system is read-only", "write to another path"],
  EISDIR: ["FILE_IS_FOLDER", "it is a folder, and a file was expected", "give the path of a file"],
  ENOTDIR: ["FILE_MISSING", "a part of the path is a file, not a folder", "check the path"],
  ENOSPC: [
    "DISK_FULL",
    "the disk is full",
    "free some space or write to another disk, then run again",
  ],
  EDQUOT: [
    "DISK_FULL",
    "the disk quota is used up",
    "free some space or write to another disk, then run again",
  ],
  EFBIG: [
    "DISK_FULL",
    "the file is larger than the file system or the limit of this process allows",
    "write to another disk or raise the limit",
  ],
};

/** Turns an error of the file system into an {@link IoError} that says what to do; others come back as they are. */
export function asIoError(error: unknown, path: string): unknown {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  if (typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return error;
  const [name, what, fix] = known[code] ?? [
    "FILE_FAILED",
    `the file system said ${code}`,
    "check the path and the disk",
  ];
  return new IoError({ code: name, message: what, fix, where: path, cause: error });
}
