import { ConfigError } from "@latentkit/core";
import { dirname, resolve } from "node:path";

/** Names that are no paths. */
const named: ReadonlySet<string> = new Set(["random"]);

/**
 * The model of a suite or comparison: the flag's, or the one that the file at `path` names, from where that lies.
 *
 * @throws ConfigError `SUITE_MODEL` where neither does
 */
export function suiteModel(
  flag: string | undefined,
  inFile: string | undefined,
  path: string,
): string {
  if (flag !== undefined) return flag;
  if (inFile !== undefined) return named.has(inFile) ? inFile : resolve(dirname(path), inFile);
  throw new ConfigError({
    code: "SUITE_MODEL",
    message: "neither --model nor the suite's file names a model",
    fix: 'give --model, or put "model" into the file',
    where: path,
  });
}
