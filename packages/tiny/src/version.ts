import { ConfigError } from "@latentkit/core";

/** The model as pretrained, or with its instruction-tuning adapter merged in. */
export type TinyVersion = "base" | "instruct";

/** Both versions, the default one first. */
export const tinyVersions: readonly TinyVersion[] = ["base", "instruct"];

/** @throws ConfigError `TINY_VERSION` for any other word */
export function parseVersion(version: string): TinyVersion {
  const known = tinyVersions.find((name) => name === version);
  if (known !== undefined) return known;
  throw new ConfigError({
    code: "TINY_VERSION",
    message: `the embedded model has no version "${version}"`,
    fix: `take one of ${tinyVersions.join(", ")}`,
    where: "version",
  });
}
