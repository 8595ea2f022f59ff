import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { publishedPackages, repository } from "../support/packages.ts";

const license = readFileSync(join(repository, "LICENSE"), "utf8");

describe.each(publishedPackages())("$path", ({ folder, path, manifest }) => {
  it("carries the licence and the fields that every package has", () => {
    expect(readFileSync(join(folder, "LICENSE"), "utf8")).toBe(license);
    expect(manifest).toMatchObject({
      license: "Apache-2.0",
      type: "module",
      engines: { node: ">=20.19" },
      publishConfig: { access: "public", provenance: true },
    });
    expect(manifest["description"]).toMatch(/^[A-Z].{20,}\.$/);
    if (path.startsWith("packages/")) expect(manifest["sideEffects"]).toBe(false);
  });

  it("declares every package of ours that its sources import, and no other", () => {
    const sources = readdirSync(join(folder, "src"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    const imported = (files: readonly string[]): string[] => {
      const names = files.flatMap((file) =>
        [...readFileSync(file, "utf8").matchAll(/(?:from|import\()\s*"(@latentkit\/[a-z-]+)/g)].map(
          (match) => match[1]!,
        ),
      );
      return [...new Set(names)].filter((name) => name !== manifest.name).toSorted();
    };
    // As `files` of the manifests has it.
    const shipped = sources.filter((file) => !/\.test\.ts$|[\\/]__fixtures__[\\/]/.test(file));
    const ours = (names: object = {}): string[] =>
      Object.keys(names).filter((name) => name.startsWith("@latentkit/"));
    const promised = [
      ...ours(manifest.dependencies),
      ...ours(manifest.peerDependencies),
    ].toSorted();
    // Packages that only tests import may be dev dependencies.
    expect([...promised, ...ours(manifest.devDependencies)]).toEqual(
      expect.arrayContaining(imported(sources)),
    );
    expect(promised).toEqual(imported(shipped));
  });
});

const libraries = publishedPackages().filter(({ path }) => path.startsWith("packages/"));

describe.each(libraries)("$path", ({ manifest, entries }) => {
  it("offers ESM with types, and its sources under the house's own condition", () => {
    expect(entries.length).toBeGreaterThan(0);
    for (const [name, target] of Object.entries(manifest.exports ?? {})) {
      if (name === "./package.json") expect(target).toBe("./package.json");
      // The order counts: the first condition that holds wins.
      else expect(Object.keys(target)).toEqual(["@latentkit/source", "types", "default"]);
    }
  });
});
