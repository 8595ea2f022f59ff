import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** The real model's file, or null with the reason printed. In CI it has to be there. */
export function realModelPath(): string | null {
  const folder = process.env.LATENTKIT_MODELS;
  if (folder === undefined || folder === "") return missing("LATENTKIT_MODELS is not set");
  const file = readdirSync(folder).find((name) => name.endsWith(".gguf"));
  return file === undefined ? missing(`${folder} has no .gguf file`) : join(folder, file);
}

/** The real text's file, or null with the reason printed. In CI it has to be there. */
export function realTextPath(): string | null {
  const folder = process.env.LATENTKIT_TEXT;
  if (folder === undefined || folder === "") return missing("LATENTKIT_TEXT is not set");
  const path = join(folder, "docs.jsonl");
  return existsSync(path) ? path : missing(`${path} does not exist`);
}

function missing(reason: string): null {
  if (process.env.CI === "true") throw new RangeError(`${reason}, but tests on real data must run in CI`);
  console.warn(`tests on real data are skipped: ${reason}`);
  return null;
}
