import { realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";

/** A file to be sent, or the HTTP status that says why there is none. */
export type Located =
  | { readonly path: string; readonly size: number; readonly modified: Date }
  | { readonly status: 400 | 403 | 404 };

/**
 * The file that the path of a request names, if it lies in the folder: `..`, hidden names, other roots, NUL and links that lead out
 * are refused, however they are written. A folder stands for its `index.html`, the root for `report.html` if there is no `index.html`.
 *
 * @param root the folder as `realpath` gives it
 * @param target the path of the request as it came, still percent-encoded, perhaps with a query
 */
export async function locate(root: string, target: string): Promise<Located> {
  const parts = partsOf(target);
  if (parts === null) return { status: 400 };
  // Every name that begins with a dot: "..", and what people hide (.git, .env).
  if (parts.some((part) => part.startsWith("."))) return { status: 403 };
  const named = join(root, ...parts);
  const candidates = [
    named,
    join(named, "index.html"),
    ...(parts.length === 0 ? [join(named, "report.html")] : []),
  ];
  for (const candidate of candidates) {
    const path = await realpath(candidate).catch(() => null);
    if (path === null) continue;
    if (path !== root && !path.startsWith(root.endsWith(sep) ? root : root + sep))
      return { status: 403 };
    const stats = await stat(path).catch(() => null);
    if (stats?.isFile() === true) return { path, size: stats.size, modified: stats.mtime };
  }
  return { status: 404 };
}

/** The names between the slashes, decoded once; null for what no honest client sends. */
function partsOf(target: string): readonly string[] | null {
  const [path = ""] = target.split(/[?#]/u, 1);
  if (!path.startsWith("/")) return null;
  try {
    const parts = path
      .split("/")
      .filter((part) => part !== "")
      .map((part) => decodeURIComponent(part));
    // A decoded slash, backslash, NUL or drive letter would be a second path inside a name.
    return parts.some((part) => /[/\\\0:]/u.test(part)) ? null : parts;
  } catch {
    return null;
  }
}
