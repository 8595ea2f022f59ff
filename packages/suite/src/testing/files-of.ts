import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";

/** Contents of all files of a folder, as hex, but activations and what a killed write leaves behind, which no reader looks at. */
export async function filesOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith("activations") && !path.endsWith(".tmp"))
    .toSorted();
  const files = new Map<string, string>();
  for (const path of paths) files.set(path, (await readFile(join(folder, path))).toString("hex"));
  return files;
}
