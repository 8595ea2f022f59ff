import { IoError } from "@latentkit/core";
import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { HubListing } from "../../hub/hub-listing.ts";
import { hubReference, isSafePath } from "../../hub/hub-reference.ts";
import {
  fetchFiles,
  fetchListing,
  rememberListing,
  type SnapshotRequest,
} from "./fetch-snapshot.ts";
import { cachedCommit, type RepoCache, repoCache, snapshotFileSize } from "./hub-cache.ts";
import { type RemoteOptions, remoteSettings } from "./hub-options.ts";
import { impatient, noteCacheInstead, notCached } from "./open-hub.ts";

/** A repository of the hub at one commit, whose files are brought into the cache when asked for. */
export interface HubRepository {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  /** Paths of all its files; without a network, of those in the cache. */
  readonly files: readonly string[];
  /** Whether `files` are all there are: false where the hub gave no answer, and they are those in the cache. */
  readonly complete: boolean;
  /**
   * Brings files into the cache that is shared with Python's `huggingface_hub`, and gives their paths there, in the order asked.
   *
   * Throws {@link IoError} `HUB_FILE_MISSING`, `HUB_NOT_CACHED`, and as {@link openHubRepository} does.
   */
  fetch(paths: readonly string[]): Promise<readonly string[]>;
}

/**
 * Opens a repository of the hub, for files that are no language model's: an SAE's, say. The hub is asked what the revision stands
 * at; where it gives no answer, or with `HF_HUB_OFFLINE=1`, the last known commit is taken with what the cache has of it.
 *
 * Throws {@link IoError} `HUB_GATED`, `HUB_REPO_MISSING`, `HUB_REVISION_MISSING`, `HUB_TOKEN`, `HUB_DENIED`, `HUB_DISABLED`,
 * `HUB_NOT_CACHED`, `HUB_UNREACHABLE` and the `HTTP_...` codes; `FormatError` `HUB_LISTING`, `HUB_UNSAFE_PATH`; `ConfigError`
 * `HUB_REFERENCE` and for settings; `AbortedError`.
 *
 * @param name `org/name` or `org/name@revision`
 *
 * @example
 * const repository = await openHubRepository("google/gemma-scope-2b-pt-res");
 * const [path] = await repository.fetch(["layer_20/width_16k/average_l0_71/params.npz"]);
 */
export async function openHubRepository(
  name: string,
  options: RemoteOptions = {},
): Promise<HubRepository> {
  const reference = hubReference(name);
  const { settings, http } = await remoteSettings(options);
  const { endpoint, offline } = settings;
  const cache = repoCache(settings.cache, reference);
  const commit = await cachedCommit(cache, reference.revision);
  const cached = commit === null ? null : await cachedListing(cache, commit);
  const request: SnapshotRequest = {
    reference,
    cache,
    endpoint,
    http: impatient(http, cached !== null),
    options,
    withTokenizer: false,
  };
  if (!offline) {
    try {
      return online({ ...request, http }, await fetchListing(request));
    } catch (error) {
      noteCacheInstead(error, request, cached !== null);
    }
  }
  if (cached !== null) return fromCache(request, cached);
  throw notCached(reference, cache, "the hub may not be asked (HF_HUB_OFFLINE)");
}

function online(request: SnapshotRequest, listing: HubListing): HubRepository {
  const { cache, reference } = request;
  const files = listing.files.map(({ path }) => path);
  return {
    commit: listing.commit,
    files,
    complete: true,
    async fetch(paths) {
      const missing = paths.find((path) => !files.includes(path));
      if (missing !== undefined) throw fileMissing(missing, reference.repo);
      await rememberListing(request, listing, await fetchFiles(request, listing, paths));
      return paths.map((path) => join(cache.snapshot(listing.commit), path));
    },
  };
}

function fromCache(
  { cache, reference }: SnapshotRequest,
  { commit, files }: HubListing,
): HubRepository {
  const paths = files.map(({ path }) => path);
  return {
    commit,
    files: paths,
    complete: false,
    async fetch(wanted) {
      const missing = wanted.find((path) => !paths.includes(path));
      if (missing !== undefined)
        throw notCached(reference, cache, `"${missing}" is not in the cache`);
      return wanted.map((path) => join(cache.snapshot(commit), path));
    },
  };
}

/** The files of a snapshot that are in the cache. */
async function cachedListing(cache: RepoCache, commit: string): Promise<HubListing | null> {
  const folder = cache.snapshot(commit);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files: { path: string; size: number; sha256: undefined }[] = [];
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const path = relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/");
    if (!isSafePath(path)) continue;
    const size = await snapshotFileSize(cache, commit, path);
    if (size !== null) files.push({ path, size, sha256: undefined });
  }
  return files.length === 0 ? null : { commit, files };
}

function fileMissing(path: string, repo: string): IoError {
  return new IoError({
    code: "HUB_FILE_MISSING",
    message: `the repository has no "${path}"`,
    fix: "check the spelling, with capitals as they are",
    where: repo,
  });
}
