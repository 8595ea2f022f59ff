import { IoError, type OnProgress } from "@latentkit/core";
import { mkdir, readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { chooseFiles, type ChosenFiles } from "../../hub/choose-files.ts";
import { fetchBytes } from "../../hub/fetch-bytes.ts";
import { HttpFault } from "../../hub/http-fault.ts";
import type { HttpOptions } from "../../hub/http-request.ts";
import { explainHubFault } from "../../hub/hub-errors.ts";
import { type HubFile, type HubListing, parseListing } from "../../hub/hub-listing.ts";
import type { HubReference } from "../../hub/hub-reference.ts";
import { limitOf } from "../checkpoint-files.ts";
import { asIoError } from "../io-errors.ts";
import { indexSchema } from "../open-folder.ts";
import { parseJson } from "../read-json.ts";
import { downloadBlob, incompleteName } from "./download-blob.ts";
import { fetchMetadata, type FileMetadata } from "./file-metadata.ts";
import { withFileLock } from "./file-lock.ts";
import {
  blobSize,
  linkIntoSnapshot,
  rememberCommit,
  type RepoCache,
  snapshotFileSize,
} from "./hub-cache.ts";
import type { RemoteOptions } from "./hub-options.ts";

/** A model that lies whole in the cache. */
export interface Snapshot {
  readonly commit: string;
  readonly chosen: ChosenFiles;
}

/** What a download needs to know. */
export interface SnapshotRequest {
  readonly reference: HubReference;
  readonly cache: RepoCache;
  readonly endpoint: string;
  readonly http: HttpOptions;
  readonly options: RemoteOptions;
  readonly withTokenizer: boolean;
}

const anything = z.unknown();
const largestListing = 64 * 1024 * 1024;

/** Asks the hub what a revision stands at and which files it has. Throws `HttpFault` where there is no answer. */
export async function fetchListing(request: SnapshotRequest): Promise<HubListing> {
  const { reference, endpoint, http } = request;
  const url = `${endpoint}/api/models/${reference.repo}/revision/${encodeURIComponent(reference.revision)}?blobs=true`;
  const bytes = await fetchBytes(url, largestListing, http);
  return parseListing(parseJson(bytes, url, anything), reference);
}

/**
 * Brings all that a model needs into the cache. What is there already is not fetched again, and the revision's note is written
 * last: until then the cache gives the version before.
 */
export async function fetchSnapshot(
  request: SnapshotRequest,
  listing: HubListing,
): Promise<Snapshot> {
  const { reference, cache } = request;
  const { commit } = listing;
  const chosen = chooseFiles(listing, reference, request.withTokenizer);
  let fetched = await fetchFiles(request, listing, [...chosen.small, chosen.weights]);
  if (chosen.weights.endsWith(".index.json")) {
    const place = join(cache.snapshot(commit), chosen.weights);
    const { weight_map } = parseJson(await readFile(place), place, indexSchema);
    fetched += await fetchFiles(request, listing, [...new Set(Object.values(weight_map))].sort());
  }
  await rememberListing(request, listing, fetched);
  return { commit, chosen };
}

/** Notes what the revision stands at, now that what is needed of it is there; `fetched` files were not there before. */
export async function rememberListing(
  { cache, reference }: SnapshotRequest,
  { commit }: HubListing,
  fetched: number,
): Promise<void> {
  await rememberCommit(cache, reference.revision, commit).catch((error: unknown) => {
    // A cache that may only be read, and has everything, serves as it is.
    if (fetched > 0) throw asIoError(error, cache.folder);
  });
}

interface Wanted {
  readonly file: HubFile;
  readonly url: string;
  readonly metadata: FileMetadata;
}

/** Brings these files into the snapshot, and says how many were not there. */
export async function fetchFiles(
  request: SnapshotRequest,
  listing: HubListing,
  paths: readonly string[],
): Promise<number> {
  const { cache, endpoint, reference, http, options } = request;
  const { commit } = listing;
  const byPath = new Map(listing.files.map((file) => [file.path, file]));
  const wanted: Wanted[] = [];
  for (const path of paths) {
    const file = byPath.get(path) ?? { path, size: undefined, sha256: undefined };
    const cached = await snapshotFileSize(cache, commit, path);
    if (cached !== null && (file.size === undefined || cached === file.size)) continue;
    const place = path.split("/").map(encodeURIComponent).join("/");
    const url = `${endpoint}/${reference.repo}/resolve/${commit}/${place}`;
    const metadata = await explained(request, path, () => fetchMetadata(url, file, commit, http));
    checkSmall(path, metadata.size, url);
    wanted.push({ file, url, metadata });
  }
  if (wanted.length === 0) return 0;
  const total = wanted.reduce((sum, { metadata }) => sum + metadata.size, 0);
  let missing = 0;
  for (const { metadata } of wanted) missing += await bytesToCome(cache, metadata);
  await checkSpace(cache, missing, options);
  let before = 0;
  for (const { file, url, metadata } of wanted) {
    const report = progress(options.onProgress, before, total, file.path);
    const lock = join(cache.locks, `${metadata.etag}.latentkit.lock`);
    const waiting = { ...options.lock, signal: options.signal, onWait: () => report(0, true) };
    await explained(request, file.path, () =>
      withFileLock(lock, waiting, async () => {
        if ((await blobSize(cache, metadata.etag)) !== metadata.size) {
          await downloadBlob(url, join(cache.blobs, metadata.etag), metadata, {
            ...http,
            openPartial: options.openPartial,
            onBytes: (done) => report(done),
          });
        }
        await linkIntoSnapshot(cache, commit, file.path, metadata.etag);
      }),
    ).catch((error: unknown) => {
      throw asIoError(error, cache.folder);
    });
    before += metadata.size;
  }
  options.onProgress?.({ stage: "download", done: total, total, unit: "bytes" });
  return wanted.length;
}

/** Faults of the hub in words about the model. */
async function explained<T>(
  { reference, endpoint, http }: SnapshotRequest,
  file: string,
  call: () => Promise<T>,
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof HttpFault)) throw error;
    throw explainHubFault(error, reference, { endpoint, hasToken: http.token !== undefined, file });
  }
}

/** At most about 20 reports a second. */
function progress(
  onProgress: OnProgress | undefined,
  before: number,
  total: number,
  path: string,
): (done: number, waits?: boolean) => void {
  let last = 0;
  return (done, waits = false) => {
    const now = Date.now();
    if (now - last < 50 && !waits) return;
    last = now;
    const note = waits ? `${path}: waiting for another process that downloads it` : path;
    onProgress?.({ stage: "download", done: before + done, total, unit: "bytes", note });
  };
}

/** Configuration and tokenizer are small; what claims otherwise would only fill the disk. */
function checkSmall(path: string, size: number, where: string): void {
  if (!/\.(?:json|jinja)$/.test(path) || size <= limitOf(path)) return;
  throw new IoError({
    code: "HTTP_TOO_LARGE",
    message: `${path} has ${size} bytes; ${limitOf(path)} are the most that such a file may have`,
    fix: "check that this is the repository you mean: files of this kind are small",
    where,
  });
}

/** Bytes that the disk has to take before a file is whole. */
async function bytesToCome(cache: RepoCache, { etag, size }: FileMetadata): Promise<number> {
  if ((await blobSize(cache, etag)) === size) return 0;
  return Math.max(0, size - ((await blobSize(cache, incompleteName(etag))) ?? 0));
}

/** Says that the disk is too small before hours are spent on finding out. */
async function checkSpace(
  cache: RepoCache,
  bytes: number,
  { freeBytes = freeOnDisk }: RemoteOptions,
): Promise<void> {
  await mkdir(cache.blobs, { recursive: true }).catch((error: unknown) => {
    throw asIoError(error, cache.blobs);
  });
  const free = await freeBytes(cache.blobs);
  if (free === null || bytes <= free) return;
  throw new IoError({
    code: "DISK_FULL",
    message: `${bytes} bytes are to be downloaded, and ${free} are free`,
    fix: "free some space, or set HF_HUB_CACHE to a folder on another disk",
    where: cache.blobs,
  });
}

async function freeOnDisk(folder: string): Promise<number | null> {
  const found = await statfs(folder).catch(() => null);
  return found === null || found.blocks === 0 ? null : found.bavail * found.bsize;
}
