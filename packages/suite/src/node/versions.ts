import { createRequire } from "node:module";
import { z } from "zod";

const packages = ["activations", "core", "loaders", "models", "sae", "suite", "tensor"] as const;
const schema = z.object({ version: z.string() });

/** Versions of the packages that decide what a suite's results are, for job records. */
export function packageVersions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  return Object.fromEntries(
    packages.map((name) => [
      name,
      schema.parse(require(`@latentkit/${name}/package.json`)).version,
    ]),
  );
}
