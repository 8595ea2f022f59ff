import type { Options } from "tsup";

/**
 * The one build recipe of every published package: ESM, declarations, source maps, nothing else.
 * Kept to entry, format and dts, so that moving to another bundler stays a change of this file.
 */
export function packageConfig(
  entry: Record<string, string> = { index: "src/index.ts" },
  overrides: Options = {},
): Options {
  return {
    entry,
    format: ["esm"],
    dts: true,
    sourcemap: true,
    clean: true,
    target: "es2023",
    ...overrides,
  };
}
