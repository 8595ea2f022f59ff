import { defineConfig } from "vitest/config";

/**
 * One vitest at the root gives one total. Packages are resolved to their sources by the `@latentkit/source` condition, so no
 * build is needed to test. Tests run in forked processes: the BLAS library reads its environment on the main thread only.
 */
const source = { resolve: { conditions: ["@latentkit/source"] }, ssr: { resolve: { conditions: ["@latentkit/source"] } } };

export default defineConfig({
  ...source,
  test: {
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 300_000,
    projects: [
      { extends: true, test: { name: "unit", include: ["packages/*/src/**/*.test.ts", "apps/*/src/**/*.test.ts"], exclude: ["**/*.model.test.ts"] } },
      { extends: true, test: { name: "model", include: ["packages/*/src/**/*.model.test.ts", "tests/**/*.test.ts"], fileParallelism: false } },
    ],
  },
});
