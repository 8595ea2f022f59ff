import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashBytes } from "@latentkit/loaders";

/** A new folder for a test; `remove` clears all of them away. */
export function testFolders(): { make: () => Promise<string>; remove: () => Promise<void> } {
  const made: string[] = [];
  return {
    async make() {
      const folder = await mkdtemp(join(tmpdir(), "latentkit-activations-"));
      made.push(folder);
      return folder;
    },
    async remove() {
      await Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true })));
    },
  };
}

/** Every file of a folder with the hash of its bytes, so that two folders can be compared byte for byte. */
export async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, hashBytes(await readFile(join(folder, name)))] as const)));
}
