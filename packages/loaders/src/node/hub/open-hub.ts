import { IoError } from "@latentkit/core";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { chooseFiles } from "../../hub/choose-files.ts";
import { HttpFault } from "../../hub/http-fault.ts";
import type { HttpOptions } from "../../hub/http-request.ts";
import { explainHubFault } from "../../hub/hub-errors.ts";
import type { HubReference } from "../../hub/hub-reference.ts";
import { readJson } from "../read-json.ts";
import { indexSchema } from "../open-folder.ts";
import { cachedCommit, repoCache, snapshotFileSize } from "./hub-cache.ts";
import type { RepoCache } from "./hub-cache.ts";
import { fetchListing, fetchSnapshot } from "./fetch-snapshot.ts";
import type { Snapshot, SnapshotRequest } from "./fetch-snapshot.ts";
import { type RemoteOptions, remoteSettings } from "./hub-options.ts";

/** A model of the hub that is whole on disk. */
export interface HubModel {
  /** The snapshot's folder, with the names of the repository. */
  readonly folder: string;
  /** 40 hexadecimal digits. */
  readonly commit: string;
  /** The GGUF file to open, or null for the folder. */
  readonly gguf: string | null;
}

/**
 * Brings a model of the hub into the cache that is shared with Python's `huggingface_hub`, and says where it lies. The hub is
 * asked what the revision stands at; where it gives no answer, or with `HF_HUB_OFFLINE=1`, the last known commit is taken if it
 * is there whole.
 *
 * Throws {@link IoError} `HUB_GATED`, `HUB_REPO_MISSING`, `HUB_REVISION_MISSING`, `HUB_FILE_MISSING`, `HUB_TOKEN`, `HUB_DENIED`,
 * `HUB_DISABLED`, `HUB_NOT_CACHED`, `HUB_UNREACHABLE`, `DISK_FULL` and the `HTTP_...` codes; `FormatError` `HUB_NO_WEIGHTS`,
 * `HUB_LISTING`, `HUB_METADATA`, `HUB_CHECKSUM`, `HUB_UNSAFE_PATH`, `HUB_CACHE_LINK`; `ConfigError` for settings; `AbortedError`.
 */
export async function downloadModel(
  reference: HubReference,
  withTokenizer: boolean,
  options: RemoteOptions,
): Promise<HubModel> {
  const { settings, http } = await remoteSettings(options);
  const { endpoint, offline } = settings;
  const cache = repoCache(settings.cache, reference);
  const found = await findSnapshot(cache, reference, withTokenizer);
  if (offline) {
    if (found !== null) return modelAt(cache, found);
    throw notCached(reference, cache, "the hub may not be asked (HF_HUB_OFFLINE)");
  }
  const request: SnapshotRequest = {
    reference,
    cache,
    endpoint,
    http: impatient(http, found !== null),
    options,
    withTokenizer,
  };
  try {
    const listing = await fetchListing(request);
    return modelAt(cache, await fetchSnapshot({ ...request, http }, listing));
  } catch (error) {
    noteCacheInstead(error, request, found !== null);
    if (found === null) throw error;
    return modelAt(cache, found);
  }
}

/**
 * As Python does: what one has works on, whatever the hub says today, and a note says so. Throws the fault in words about the
 * repository where there is nothing in the cache, and every other error.
 */
export function noteCacheInstead(
  error: unknown,
  { reference, endpoint, http, options }: SnapshotRequest,
  hasCache: boolean,
): void {
  if (!(error instanceof HttpFault)) throw error;
  const explained = error.details.retry
    ? unreachable(reference, error, endpoint)
    : explainHubFault(error, reference, { endpoint, hasToken: http.token !== undefined });
  if (!hasCache) throw explained;
  const note = `taking what is in the cache, since the hub gave no answer (${explained.code})`;
  options.onProgress?.({ stage: "download", done: 0, unit: "bytes", note });
}

/**
 * The first question should not cost a minute where there is no network: the answer may be that a folder's name was misspelt, or
 * that the cache has to do.
 */
export function impatient(http: HttpOptions, hasCache: boolean): HttpOptions {
  const most = hasCache ? { retries: 1, stallMs: 10_000 } : { retries: 3, stallMs: 30_000 };
  const { retries = most.retries, stallMs = most.stallMs } = http;
  return {
    ...http,
    retries: Math.min(most.retries, retries),
    stallMs: Math.min(most.stallMs, stallMs),
  };
}

function modelAt(cache: RepoCache, { commit, chosen }: Snapshot): HubModel {
  const gguf = chosen.kind === "gguf" ? chosen.weights : null;
  return { folder: cache.snapshot(commit), commit, gguf };
}

/** The last known state of a revision, if all that it needs is in the cache. */
async function findSnapshot(
  cache: RepoCache,
  reference: HubReference,
  withTokenizer: boolean,
): Promise<Snapshot | null> {
  const commit = await cachedCommit(cache, reference.revision);
  if (commit === null) return null;
  const folder = cache.snapshot(commit);
  const names = await readdir(folder).catch((): string[] => []);
  const candidates = reference.file === undefined ? names : [...names, reference.file];
  const files: { path: string; size: number; sha256: undefined }[] = [];
  for (const path of candidates) {
    const size = await snapshotFileSize(cache, commit, path);
    if (size !== null) files.push({ path, size, sha256: undefined });
  }
  const has = (path: string): boolean => files.some((file) => file.path === path);
  try {
    const chosen = chooseFiles({ commit, files }, reference, withTokenizer);
    if (chosen.kind === "gguf") return { commit, chosen };
    if (!has("config.json")) return null;
    if (!chosen.weights.endsWith(".index.json")) return { commit, chosen };
    const { weight_map } = await readJson(join(folder, chosen.weights), indexSchema);
    return Object.values(weight_map).every(has) ? { commit, chosen } : null;
  } catch {
    // No weights, or an index that cannot be read: not whole.
    return null;
  }
}

export function notCached(reference: HubReference, cache: RepoCache, why: string): IoError {
  return new IoError({
    code: "HUB_NOT_CACHED",
    message: `${why}, and ${reference.repo}@${reference.revision} is not whole in the cache`,
    fix: "run once with a network and without HF_HUB_OFFLINE, or set HF_HUB_CACHE to the cache that has it",
    where: cache.folder,
  });
}

function unreachable(reference: HubReference, fault: HttpFault, endpoint: string): IoError {
  const { error } = fault.details;
  return new IoError({
    code: "HUB_UNREACHABLE",
    message: `${reference.repo} is not in the cache, no such folder is here, and ${endpoint} does not help: ${error.message}`,
    fix: "check the network (or HF_ENDPOINT), or give a folder or file that is on this machine",
    where: `${reference.repo}@${reference.revision}`,
    cause: error,
  });
}
