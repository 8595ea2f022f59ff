import { FormatError } from "@latentkit/core";
import { randomBytes } from "node:crypto";
import {
  copyFile,
  lstat,
  mkdir,
  readFile,
  realpath,
  rename,
  stat,
  symlink,
  unlink,
} from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { isSafePath } from "../../hub/hub-reference.ts";
import type { HubReference } from "../../hub/hub-reference.ts";
import { writeFileAtomic } from "../write-file-atomic.ts";

/**
 * A model's part of the cache, in the layout of Python's `huggingface_hub`:
 *
 *     models--ORG--NAME/refs/REVISION               the commit that a branch or tag stood at
 *     models--ORG--NAME/blobs/ETAG                  contents, each once
 *     models--ORG--NAME/snapshots/COMMIT/PATH       links to them, under the names of the repository
 */
export interface RepoCache {
  readonly folder: string;
  readonly blobs: string;
  /** Where locks of the files lie, beside all models. */
  readonly locks: string;
  snapshot(commit: string): string;
}

/** The places of a model in a cache. Nothing is read or written. */
export function repoCache(cache: string, { repo }: HubReference): RepoCache {
  const name = `models--${repo.replace("/", "--")}`;
  const folder = join(cache, name);
  return {
    folder,
    blobs: join(folder, "blobs"),
    locks: join(cache, ".locks", name),
    snapshot: (commit) => join(folder, "snapshots", commit),
  };
}

const commitForm = /^[0-9a-f]{40}$/;

/** The commit that a revision stood at when it was last asked for, or null. */
export async function cachedCommit(cache: RepoCache, revision: string): Promise<string | null> {
  if (commitForm.test(revision)) return revision;
  const text = await readFile(join(cache.folder, "refs", revision), "utf8").catch(() => "");
  const commit = text.trim();
  return commitForm.test(commit) ? commit : null;
}

/** Notes what a branch or tag stands at. Once this is written, the snapshot counts without a network. */
export async function rememberCommit(
  cache: RepoCache,
  revision: string,
  commit: string,
): Promise<void> {
  if (revision === commit || (await cachedCommit(cache, revision)) === commit) return;
  const path = join(cache.folder, "refs", revision);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, commit);
}

/**
 * Size of a file of a snapshot, or null where it is not there. Throws {@link FormatError} `HUB_CACHE_LINK` for one that is a link
 * out of the cache: nothing that fills a cache makes such links.
 */
export async function snapshotFileSize(
  cache: RepoCache,
  commit: string,
  path: string,
): Promise<number | null> {
  const place = snapshotPath(cache, commit, path);
  const found = await stat(place).catch(() => null);
  if (found === null || !found.isFile()) return null;
  const target = await realpath(place);
  const allowed = await Promise.all(
    [dirname(cache.folder), cache.blobs, cache.folder].map((folder) =>
      realpath(folder).catch(() => folder),
    ),
  );
  if (allowed.some((folder) => target.startsWith(folder + sep))) return found.size;
  throw new FormatError({
    code: "HUB_CACHE_LINK",
    message: `the cached file is a link to ${target}, outside of the cache`,
    fix: "remove the link, and find out who made it: the file is then downloaded again",
    where: place,
  });
}

/** Where a file of a snapshot lies. The path has been checked; this checks it once more, since it becomes a name on disk. */
function snapshotPath(cache: RepoCache, commit: string, path: string): string {
  if (isSafePath(path) && commitForm.test(commit)) return join(cache.snapshot(commit), path);
  throw new FormatError({
    code: "HUB_UNSAFE_PATH",
    message: `a file named ${JSON.stringify(path)} would lie outside of its folder`,
    fix: "do not use this repository: such a name is made to overwrite files",
    where: cache.folder,
  });
}

/**
 * Puts a blob under its name into a snapshot: as a relative link, or as a copy where the system has no links (Windows without
 * developer mode). The name holds either the old content or the new, at any time.
 */
export async function linkIntoSnapshot(
  cache: RepoCache,
  commit: string,
  path: string,
  etag: string,
): Promise<void> {
  const place = snapshotPath(cache, commit, path);
  const blob = join(cache.blobs, etag);
  await mkdir(dirname(place), { recursive: true });
  const temporary = `${place}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await symlink(relative(dirname(place), blob), temporary).catch(() => copyFile(blob, temporary));
    await rename(temporary, place);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

/** Size of a blob, or null. A blob may itself be a link into a store that Python shares between models. */
export async function blobSize(cache: RepoCache, etag: string): Promise<number | null> {
  const path = join(cache.blobs, etag);
  const found = await lstat(path)
    .then(() => stat(path))
    .catch(() => null);
  return found?.isFile() === true ? found.size : null;
}
