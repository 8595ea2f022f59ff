import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const repository = resolve(import.meta.dirname, "../..");
const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A small repository with the packages core, loaders (with a Node entry), sae and tiny, and whatever `files` plants in it. */
function plant(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "latentkit-layers-"));
  folders.push(root);
  const entry = (file: string) => ({ "@latentkit/source": file, default: "./dist/index.js" });
  const manifest = (name: string, exports: object, rest: object = {}) =>
    JSON.stringify({ name, version: "0.0.0", type: "module", exports, ...rest });
  const all: Record<string, string> = {
    "package.json": JSON.stringify({ private: true, workspaces: ["packages/*", "apps/*"] }),
    "packages/core/package.json": manifest("@latentkit/core", { ".": entry("./src/index.ts") }),
    "packages/core/src/index.ts": "export const one = 1;",
    "packages/core/src/hidden.ts": "export const hidden = 1;",
    "packages/loaders/package.json": manifest("@latentkit/loaders", {
      ".": entry("./src/index.ts"),
      "./node": entry("./src/node/index.ts"),
    }),
    "packages/loaders/src/index.ts": 'export { one } from "@latentkit/core";',
    "packages/loaders/src/node/index.ts": 'export { readFileSync } from "node:fs";',
    "packages/sae/package.json": manifest(
      "@latentkit/sae",
      { ".": entry("./src/index.ts") },
      { dependencies: { "a-dependency": "1" }, devDependencies: { "a-tool": "1" } },
    ),
    "packages/sae/src/index.ts":
      'import { one } from "@latentkit/loaders";\nimport "a-dependency";\nexport const two = one + 1;',
    "packages/sae/src/index.test.ts": 'import "a-tool";\nimport "node:fs";\nimport "./index.ts";',
    "packages/tiny/package.json": manifest("@latentkit/tiny", { ".": entry("./src/index.ts") }),
    "packages/tiny/src/index.ts": 'export { two } from "@latentkit/sae";',
    "apps/cli/package.json": manifest("latentkit", {}),
    "apps/cli/src/main.ts":
      'import "@latentkit/loaders/node";\nimport "@latentkit/tiny";\nimport "node:fs";',
    "node_modules/a-tool/package.json": JSON.stringify({ name: "a-tool", main: "index.js" }),
    "node_modules/a-tool/index.js": "",
    "node_modules/a-dependency/package.json": JSON.stringify({
      name: "a-dependency",
      main: "index.js",
    }),
    "node_modules/a-dependency/index.js": "",
    "node_modules/undeclared/package.json": JSON.stringify({
      name: "undeclared",
      main: "index.js",
    }),
    "node_modules/undeclared/index.js": "",
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  mkdirSync(join(root, "node_modules/@latentkit"));
  for (const name of ["core", "loaders", "sae", "tiny"]) {
    symlinkSync(
      join(root, "packages", name),
      join(root, "node_modules/@latentkit", name),
      "junction",
    );
  }
  return root;
}

/** Runs the repository's own rules on `root`; every violation as `rule: file`. */
function violations(root: string): string[] {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      join(repository, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs"),
      "--config",
      join(repository, ".dependency-cruiser.cjs"),
      "--output-type",
      "json",
      "packages",
      "apps",
    ],
    { cwd: root, encoding: "utf8", env: { ...process.env, LATENTKIT_LAYERS_ROOT: root } },
  );
  expect(stderr.replaceAll(/^npm warn.*$/gm, "").trim()).toBe("");
  const { summary } = JSON.parse(stdout) as {
    summary: { violations: { rule: { name: string }; from: string }[] };
  };
  return summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`);
}

describe("the layer rules", () => {
  it("accept imports that point down, tests with tools, node code in src/node and in apps", () => {
    expect(violations(plant({}))).toEqual([]);
  });

  it("report each planted violation, and nothing else", () => {
    const found = violations(
      plant({
        "packages/core/src/upward.ts": 'import "@latentkit/loaders";',
        "packages/loaders/src/upward.ts":
          'import type { two } from "@latentkit/sae";\nexport type Two = typeof two;',
        "packages/core/src/app.ts": 'import "../../../apps/cli/src/main.ts";',
        "packages/loaders/src/a.ts":
          'import { b } from "./b.ts";\nexport const a = (): unknown => b;',
        "packages/loaders/src/b.ts":
          'import { a } from "./a.ts";\nexport const b = (): unknown => a;',
        "packages/sae/src/deep.ts": 'import "@latentkit/core/src/hidden.ts";',
        "packages/sae/src/inside.ts": 'import "../../core/src/hidden.ts";',
        "packages/sae/src/around.ts": 'import "../../core/src/index.ts";',
        "packages/sae/src/files.ts": 'import "node:fs";',
        "packages/sae/src/old-files.ts": 'import "fs";',
        "packages/sae/src/node-entry.ts": 'import "@latentkit/loaders/node";',
        "packages/sae/src/tool.ts": 'import "a-tool";',
        "packages/sae/src/undeclared.ts": 'import "undeclared";',
        "packages/sae/src/missing.ts": 'import "./nowhere.ts";',
        "packages/suite/package.json": JSON.stringify({ name: "@latentkit/suite", type: "module" }),
        "packages/suite/src/index.ts": 'import "@latentkit/tiny";',
        "packages/suite/src/index.test.ts": 'import type { two } from "@latentkit/tiny";',
        "packages/stray/src/index.ts": 'import "@latentkit/core";',
        "packages/stray/package.json": JSON.stringify({ name: "@latentkit/stray", type: "module" }),
      }),
    );
    expect(found.toSorted()).toEqual(
      [
        "no-import-up-from-ground: packages/core/src/upward.ts",
        "no-import-up-from-loading: packages/loaders/src/upward.ts",
        "no-import-of-apps: packages/core/src/app.ts",
        "no-relative-path-out-of-a-package: packages/core/src/app.ts",
        "only-public-entries: packages/core/src/app.ts",
        "no-cycle: packages/loaders/src/a.ts",
        "resolvable: packages/sae/src/deep.ts",
        "only-public-entries: packages/sae/src/inside.ts",
        "no-relative-path-out-of-a-package: packages/sae/src/inside.ts",
        "no-relative-path-out-of-a-package: packages/sae/src/around.ts",
        "no-node-in-browser-safe-code: packages/sae/src/files.ts",
        "no-node-in-browser-safe-code: packages/sae/src/old-files.ts",
        "no-node-entry-in-browser-safe-code: packages/sae/src/node-entry.ts",
        "no-dev-dependency-in-source: packages/sae/src/tool.ts",
        "declared-dependency: packages/sae/src/undeclared.ts",
        "resolvable: packages/sae/src/missing.ts",
        "no-package-on-tiny: packages/suite/src/index.ts",
        "no-package-on-tiny: packages/suite/src/index.test.ts",
        "every-package-has-a-layer: packages/stray/src/index.ts",
      ].toSorted(),
    );
  });
});
