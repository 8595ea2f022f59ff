import { ConfigError } from "@latentkit/core";
import { decodedPart } from "./http-fault.ts";

/** A model on the hub: `org/name[@revision]`, or one GGUF file of it, `org/name/file.gguf[@revision]`. */
export interface HubReference {
  /** `org/name`. */
  readonly repo: string;
  readonly name: string;
  /** A branch, a tag or a commit; `main` unless told otherwise. */
  readonly revision: string;
  /** The GGUF file to take, where one was named. */
  readonly file: string | undefined;
}

const segment = "[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?";
const form = new RegExp(`^(${segment})/(${segment})(?:/([^@]+\\.gguf))?(?:@([^@]+))?$`, "i");

/** What the text names on the hub, or null where it does not have the form of such a name. */
export function parseHubReference(text: string): HubReference | null {
  const [, org, name, file, revision = "main"] = form.exec(text) ?? [];
  if (org === undefined || name === undefined) return null;
  const repo = `${org}/${name}`;
  if (/--|\.\.|\.git$/.test(repo) || /\.(?:gguf|safetensors)$/i.test(name)) return null;
  if (file !== undefined && !isSafePath(file)) return null;
  if (!isRevision(revision)) return null;
  return { repo, name, revision, file };
}

/** The model whose page of the hub this address is, `ENDPOINT/org/name` or `ENDPOINT/org/name/tree/REVISION`, or null. */
export function hubPage(url: string, endpoint: string): HubReference | null {
  if (!url.startsWith(`${endpoint}/`)) return null;
  const { pathname } = new URL(url);
  const path = decodedPart(pathname.slice(new URL(`${endpoint}/`).pathname.length));
  const [, repo, revision] = /^([^/]+\/[^/]+?)(?:\/tree\/(.+?))?\/?$/.exec(path) ?? [];
  if (repo === undefined) return null;
  return parseHubReference(revision === undefined ? repo : `${repo}@${revision}`);
}

/** Throws {@link ConfigError} `HUB_REFERENCE` for what is no name on the hub. */
export function hubReference(text: string): HubReference {
  const reference = parseHubReference(text);
  if (reference !== null) return reference;
  throw new ConfigError({
    code: "HUB_REFERENCE",
    message: `"${text}" does not name a model of the hub`,
    fix: "write org/name, org/name@revision, or org/name/file.gguf",
    where: text,
  });
}

/** What git takes as the name of a branch or tag, and no path that leads elsewhere. */
function isRevision(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  if (text.length > 255 || /[\s\\~^:?*[\u0000-\u001f\u007f]/.test(text)) return false;
  return isSafePath(text) && !text.startsWith("-");
}

/**
 * Whether a path from outside stays below the folder that it is joined to, on every system: segments between single slashes, none
 * of them `.` or `..`, no backslash, no drive, no NUL or other control character.
 */
export function isSafePath(path: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  if (path.length > 1024 || /[\\\u0000-\u001f\u007f]/.test(path)) return false;
  return path
    .split("/")
    .every(
      (part) =>
        part !== "" &&
        part !== "." &&
        part !== ".." &&
        part.length <= 255 &&
        !/^[A-Za-z]:/.test(part),
    );
}
