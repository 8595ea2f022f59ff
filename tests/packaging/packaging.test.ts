/**
 * What a user gets: every package is built, packed, linted as a package, installed from its tarball into an empty project,
 * imported, type-checked from outside and bundled for the browser.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publishedPackages, repository } from "../support/packages.ts";
import { run, userEnvironment } from "../support/run.ts";

const packages = publishedPackages();
const project = mkdtempSync(join(tmpdir(), "latentkit-packaging-"));
const tarballs = new Map<string, { file: string; files: readonly string[] }>();
const env = { ...userEnvironment(), TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" };
const npmFlags = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];

function tarballOf(name: string): { file: string; files: readonly string[] } {
  const tarball = tarballs.get(name);
  if (tarball === undefined) throw new Error(`${name} was not packed`);
  return tarball;
}

beforeAll(async () => {
  const built = await run(
    process.execPath,
    ["node_modules/turbo/bin/turbo", "run", "build", "--output-logs=errors-only"],
    {
      cwd: repository,
      env,
    },
  );
  expect(built.code, `turbo run build\n${built.stdout}\n${built.stderr}`).toBe(0);
  for (const { folder, manifest } of packages) {
    const packed = await run(
      "npm",
      ["pack", "--json", "--ignore-scripts", "--pack-destination", project],
      { cwd: folder, env },
    );
    expect(packed.code, packed.stderr).toBe(0);
    const [tarball] = JSON.parse(packed.stdout) as {
      filename: string;
      files: { path: string }[];
    }[];
    tarballs.set(manifest.name, {
      file: join(project, tarball!.filename),
      files: tarball!.files.map(({ path }) => path),
    });
  }
}, 900_000);
afterAll(() => rmSync(project, { recursive: true, force: true }));

describe.each(packages)("$manifest.name as a package", ({ manifest }) => {
  it("has what its manifest promises, and no tests", () => {
    const { files } = tarballOf(manifest.name);
    expect(files).toEqual(expect.arrayContaining(["package.json", "README.md", "LICENSE"]));
    expect(files.filter((file) => /\.test\.|__fixtures__|\.tsbuildinfo/.test(file))).toEqual([]);
    for (const target of Object.values(manifest.exports ?? {}).flatMap((value) =>
      typeof value === "string" ? value : Object.values(value),
    )) {
      expect(files).toContain(target.replace("./", ""));
    }
  });

  it("passes publint", async () => {
    const tarball = Uint8Array.from(readFileSync(tarballOf(manifest.name).file)).buffer;
    const { messages, pkg } = await publint({ strict: true, pack: { tarball } });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });
});

const libraries = packages.filter(({ entries }) => entries.length > 0);

describe.each(libraries)("$manifest.name as a library", ({ manifest }) => {
  it("resolves with types in every kind of ESM project (attw)", async () => {
    const { code, stdout, stderr } = await run(
      process.execPath,
      [
        join(repository, "node_modules/@arethetypeswrong/cli/dist/index.js"),
        tarballOf(manifest.name).file,
        "--profile",
        "esm-only",
      ],
      { cwd: project, env },
    );
    expect(code, stdout + stderr).toBe(0);
  });
});

describe("an empty project with every tarball installed", () => {
  const entries = packages.flatMap((one) => one.entries);

  beforeAll(async () => {
    const dependencies = Object.fromEntries(
      packages.map(({ manifest }) => [manifest.name, `file:${tarballOf(manifest.name).file}`]),
    );
    writeFileSync(
      join(project, "package.json"),
      JSON.stringify({ private: true, type: "module", dependencies }),
    );
    const installed = await run("npm", ["install", ...npmFlags], { cwd: project, env });
    expect(installed.code, installed.stdout + installed.stderr).toBe(0);
  }, 600_000);

  it.each(entries.filter(({ runs }) => runs !== "testing"))(
    "$specifier is imported with an empty stderr",
    async ({ specifier }) => {
      const script = `import * as all from "${specifier}"; console.log(Object.keys(all).length);`;
      const { code, stdout, stderr } = await run(
        process.execPath,
        ["--input-type=module", "--eval", script],
        { cwd: project, env },
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(Number(stdout)).toBeGreaterThan(0);
    },
  );

  it.each(entries.filter(({ runs }) => runs === "browser"))(
    "$specifier is bundled for the browser without node: modules",
    async ({ specifier }) => {
      const { outputFiles, warnings } = await build({
        stdin: { contents: `export * from "${specifier}";`, resolveDir: project },
        bundle: true,
        write: false,
        format: "esm",
        platform: "browser",
        target: "es2023",
        logLevel: "silent",
        // Optional peers are loaded on demand, and never in a browser.
        external: ["koffi"],
      });
      expect(warnings).toEqual([]);
      expect(outputFiles[0]!.text).not.toMatch(/(?:from|import|require)\s*\(?\s*["']node:/);
    },
  );

  it("type-checks from outside, libraries included", async () => {
    const outside = entries.filter(({ runs }) => runs !== "testing");
    const lines = outside.map(
      ({ specifier }, index) => `export * as entry${index} from "${specifier}";`,
    );
    writeFileSync(join(project, "consumer.ts"), lines.join("\n"));
    const { code, stdout } = await run(
      process.execPath,
      [
        join(repository, "node_modules/typescript/bin/tsc"),
        "--noEmit",
        "--strict",
        "--target",
        "es2023",
        "--lib",
        "es2023,esnext.disposable,dom",
        "--module",
        "nodenext",
        "--types",
        "node",
        "--typeRoots",
        join(repository, "node_modules/@types"),
        "consumer.ts",
      ],
      { cwd: project, env },
    );
    expect(code, stdout).toBe(0);
  });

  it.each(packages.filter(({ manifest }) => manifest.bin !== undefined))(
    "$manifest.name answers --version",
    async ({ manifest }) => {
      for (const command of Object.keys(manifest.bin ?? {})) {
        expect(existsSync(join(project, "node_modules/.bin", command))).toBe(true);
        const { code, stdout, stderr } = await run(
          join(project, "node_modules/.bin", command),
          ["--version"],
          { cwd: project, env },
        );
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(stdout.trim()).toBe(manifest.version);
      }
    },
  );
});
