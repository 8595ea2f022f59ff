import { defineConfig } from "vitest/config";

/**
 * One vitest at the root gives one total. Packages are resolved to their sources by the `@latentkit/source` condition, so no
 * build is needed to test. Tests run in forked processes: the BLAS library reads its environment on the main thread only.
 *
 * The projects run one after another: tests that load the real model or build the packages want the machine for themselves.
 */
const source = {
  resolve: { conditions: ["@latentkit/source"] },
  ssr: { resolve: { conditions: ["@latentkit/source"] } },
};

const house = "tests/{house,readme,packaging}/**/*.test.ts";

export default defineConfig({
  ...source,
  test: {
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 300_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "apps/*/src/**/*.test.ts", "tests/**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/*.model.test.ts", "**/*.gpu.test.ts", house],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "model",
          include: [
            "packages/*/src/**/*.model.test.ts",
            "apps/*/src/**/*.model.test.ts",
            "tests/**/*.model.test.ts",
          ],
          exclude: ["**/node_modules/**", house],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          // On a GPU, or on Mesa's software driver, which takes all processors.
          name: "gpu",
          include: [
            "packages/*/src/**/*.gpu.test.ts",
            "apps/*/src/**/*.gpu.test.ts",
            "tests/**/*.gpu.test.ts",
          ],
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "house",
          include: [house],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
