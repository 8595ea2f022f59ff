import { existsSync } from "node:fs";
import { join } from "node:path";

/** `docs.jsonl` of `LATENTKIT_TEXT`; null, said on stderr, where it is not there for the bench to run on. */
export function realText(bench: string): string | null {
  const path = join(process.env["LATENTKIT_TEXT"] ?? "", "docs.jsonl");
  if (process.env["LATENTKIT_TEXT"] !== undefined && existsSync(path)) return path;
  process.stderr.write(
    `${bench}: LATENTKIT_TEXT holds no docs.jsonl, so there is nothing to run\n`,
  );
  return null;
}
