import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** The first GGUF file of `LATENTKIT_MODELS`; null, said on stderr, where there is none for the bench to run on. */
export function realModel(bench: string): string | null {
  const folder = process.env["LATENTKIT_MODELS"];
  const names = folder !== undefined && existsSync(folder) ? readdirSync(folder) : [];
  const name = names.find((entry) => entry.endsWith(".gguf"));
  if (folder !== undefined && name !== undefined) return join(folder, name);
  process.stderr.write(
    `${bench}: LATENTKIT_MODELS holds no .gguf file, so there is nothing to run\n`,
  );
  return null;
}
