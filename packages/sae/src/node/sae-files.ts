import { FormatError, IoError, LatentkitError } from "@latentkit/core";
import { type ByteSource, didYouMean } from "@latentkit/loaders";
import {
  openFile,
  openHubRepository,
  openUrl,
  parseJson,
  readJson,
  remoteSettings,
  type RemoteOptions,
} from "@latentkit/loaders/node";
import { access, readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import type { SaeFiles } from "../formats/format.ts";
import { canonicalOf, releasedSae } from "../formats/releases.ts";

/** How files are reached that are not on this machine. */
export type SaeRemoteOptions = Omit<RemoteOptions, "onProgress" | "signal">;

/** The largest JSON file of an SAE that is taken from a server. */
const largestJson = 16 * 1024 * 1024;
const anything = z.unknown();

/**
 * The files of an SAE: a folder or file of this machine, an http(s) address of either (a folder's ends in a slash), RELEASE/ID as SAELens
 * names them, or `org/name/path[@revision]` of the hub. What is on this machine comes first.
 *
 * Throws {@link IoError} `FILE_MISSING` for a path with nothing there, `SAE_NOT_FOUND` for one that a repository has not; `ConfigError`
 * `SAE_RELEASE_UNKNOWN`; and as the hub and servers do.
 */
export async function locateSae(text: string, options: RemoteOptions): Promise<SaeFiles> {
  if (/^https?:\/\//iu.test(text)) return urlFiles(text, options);
  const found = await stat(text).catch(() => null);
  if (found !== null) return localFiles(text, found.isDirectory());
  const { name, revision } = withRevision(text);
  const released = releasedSae(name);
  if (released !== null) {
    const { repo, path, canonical } = released;
    return hubFiles(repo, path, { ...options, revision, canonical });
  }
  const [repo, path = ""] = hubPath(name) ?? [];
  if (repo !== undefined) return hubFiles(repo, path, { ...options, revision, canonical: false });
  throw new IoError({
    code: "FILE_MISSING",
    message: "there is no such file or folder",
    fix: "check the path, or give org/name/path of the hub, RELEASE/ID as SAELens has them, or an http(s) address",
    where: text,
  });
}

/** `org/name[/path]` in its two parts; null for other text. */
export function hubPath(name: string): readonly [repo: string, path: string] | null {
  const [, repo, path = ""] = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:\/(.+?))?\/?$/u.exec(name) ?? [];
  return repo === undefined ? null : [repo, path];
}

/** `NAME@REVISION` in its parts: a revision may have slashes, the name has no `@`. */
export function withRevision(text: string): { readonly name: string; readonly revision: string } {
  const at = text.indexOf("@");
  return at < 0
    ? { name: text, revision: "main" }
    : { name: text.slice(0, at), revision: text.slice(at + 1) };
}

async function localFiles(path: string, isFolder: boolean): Promise<SaeFiles> {
  const folder = isFolder ? path : dirname(path);
  // Names are for messages and for finding the only torch file: the folder's own entries will do.
  const entries = await readdir(folder, { withFileTypes: true });
  return {
    where: folder,
    file: isFolder ? null : basename(path),
    names: entries.map((entry) => `${entry.name}${entry.isDirectory() ? "/" : ""}`).sort(),
    has: (name) =>
      access(join(folder, name)).then(
        () => true,
        () => false,
      ),
    json: (name) => readJson(join(folder, name), anything),
    open: (name) => openFile(join(folder, name)),
  };
}

interface HubPlace extends RemoteOptions {
  readonly revision: string;
  readonly canonical: boolean;
}

async function hubFiles(repo: string, given: string, place: HubPlace): Promise<SaeFiles> {
  const { revision, canonical, ...options } = place;
  const repository = await openHubRepository(`${repo}@${revision}`, options);
  const { files, complete } = repository;
  if (canonical && !complete) throw canonicalOffline(repo, given, files);
  const path = canonical ? (canonicalOf(repo, given, files) ?? given) : given;
  const isFile = files.includes(path);
  const folder = isFile ? dirname(path).replace(/^\.$/u, "") : path;
  const prefix = folder === "" ? "" : `${folder}/`;
  const inside = files.filter((file) => file.startsWith(prefix));
  if (inside.length === 0 || (canonical && path === given))
    throw notFound(repo, given, files, canonical);
  const fetched = async (name: string): Promise<string> => {
    const [local = ""] = await repository.fetch([`${prefix}${name}`]);
    return local;
  };
  return {
    where: folder === "" ? repo : `${repo}/${folder}`,
    file: isFile ? basename(path) : null,
    names: inside.map((file) => file.slice(prefix.length)),
    has: async (name) => files.includes(`${prefix}${name}`),
    json: async (name) => readJson(await fetched(name), anything),
    open: async (name) => openFile(await fetched(name)),
  };
}

/** Names that SAEs' files have; what holds one of them is worth suggesting. */
const weightNames =
  /(?:^|\/)(?:params\.npz|params\.safetensors|sae_weights\.safetensors|sae\.safetensors|ae\.pt|hyperparams\.json|[^/]+\.pth?)$/u;

function notFound(
  repo: string,
  path: string,
  files: readonly string[],
  canonical: boolean,
): IoError {
  const known = new Set<string>();
  for (const file of files) {
    if (!weightNames.test(file)) continue;
    const folder = /\.pth?$/u.test(file) && !file.endsWith("/ae.pt") ? file : dirname(file);
    known.add(canonical ? dirname(folder) : folder);
  }
  const near = didYouMean(path, known);
  const [first] = known;
  return new IoError({
    code: "SAE_NOT_FOUND",
    message: `${repo} has no "${path}"${near === null ? "" : `; did you mean "${near}"?`}`,
    fix:
      near !== null
        ? `use "${near}"${canonical ? " with /canonical behind it" : ""}`
        : first === undefined
          ? "check the name of the repository: it has no SAE of a format that is read"
          : `use a path that the repository has, for example ${first}`,
    where: repo,
  });
}

/** Of what is in the cache, another SAE may be the nearest to an L0 of 100 than in the whole repository. */
function canonicalOffline(repo: string, folder: string, files: readonly string[]): IoError {
  const cached = files.filter((file) => file.startsWith(`${folder}/`)).map((file) => dirname(file));
  return new IoError({
    code: "SAE_CANONICAL_OFFLINE",
    message: `which SAE of ${folder} is the canonical one follows from the repository's list of files, and the hub gave no answer; the cache has ${cached.join(", ") || "none of them"}`,
    fix: `name the SAE itself, for example ${repo}/${cached[0] ?? `${folder}/average_l0_71`}, or let the hub be asked`,
    where: repo,
  });
}

async function urlFiles(text: string, options: RemoteOptions): Promise<SaeFiles> {
  const { http } = await remoteSettings(options);
  const url = new URL(text);
  const isFolder = url.pathname.endsWith("/");
  const folder = new URL(".", url);
  const file = isFolder ? null : decodeURIComponent(url.pathname.split("/").at(-1) ?? "");
  const opened = new Map<string, Promise<ByteSource | null>>();
  /** What is at a name; null where the server has no such file. */
  const at = (name: string): Promise<ByteSource | null> => {
    // The address as it was given may have a query that its neighbours need not have.
    const address =
      name === file ? url : new URL(name.split("/").map(encodeURIComponent).join("/"), folder);
    const known = opened.get(name) ?? openUrl(address.href, http).catch(missingAsNull);
    opened.set(name, known);
    return known;
  };
  const open = async (name: string): Promise<ByteSource> => {
    const source = await at(name);
    if (source !== null) return source;
    throw new IoError({
      code: "HTTP_MISSING",
      message: `the server has no "${name}" there`,
      fix: "check the address",
      where: `${folder.origin}${folder.pathname}`,
    });
  };
  // Before the files beside it are asked for.
  if (file !== null) await open(file);
  return {
    where: `${folder.origin}${folder.pathname}`.replace(/\/$/u, ""),
    file,
    names: null,
    has: async (name) => (await at(name)) !== null,
    async json(name) {
      const source = await open(name);
      if (source.size > largestJson) {
        throw new FormatError({
          code: "FILE_TOO_LARGE",
          message: `the file has ${source.size} bytes; ${largestJson} are the most that such a file may have`,
          fix: "check that this is the SAE you mean: files of this kind are small",
          where: source.name,
        });
      }
      return parseJson(await source.read(0, source.size, options.signal), source.name, anything);
    },
    open,
  };
}

function missingAsNull(error: unknown): null {
  if (LatentkitError.isInstance(error) && error.code === "HTTP_MISSING") return null;
  throw error;
}
