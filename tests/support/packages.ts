import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The root of the repository. */
export const repository: string = resolve(import.meta.dirname, "../..");

/** The parts of a package.json that the tests look at. */
export interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** One published package of the workspace. */
export interface PublishedPackage {
  readonly folder: string;
  /** The folder's path from the root, for example `packages/core`. */
  readonly path: string;
  readonly manifest: PackageManifest;
  /** What a user writes after `from`, for example `@latentkit/loaders/node`. */
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly specifier: string;
  /** The source file behind the entry, from the package's folder. */
  readonly source: string;
  /** `node`: needs Node. `testing`: needs vitest around it. `browser`: runs anywhere. */
  readonly runs: "browser" | "node" | "testing";
}

/** Every package that is published, from the ground up as the file system lists them. */
export function publishedPackages(): PublishedPackage[] {
  return ["packages", "apps"]
    .flatMap((parent) => readdirSync(join(repository, parent)).map((name) => `${parent}/${name}`))
    .filter((path) => existsSync(join(repository, path, "package.json")))
    .map((path) => describePackage(path))
    .filter(({ manifest }) => manifest.private !== true);
}

function describePackage(path: string): PublishedPackage {
  const folder = join(repository, path);
  const manifest = JSON.parse(
    readFileSync(join(folder, "package.json"), "utf8"),
  ) as PackageManifest;
  const entries = Object.entries(manifest.exports ?? {}).flatMap(([name, target]): Entry[] => {
    const source = typeof target === "string" ? undefined : target["@latentkit/source"];
    if (source === undefined) return [];
    const runs = name === "./testing" ? "testing" : name === "./node" ? "node" : "browser";
    return [{ specifier: `${manifest.name}${name.slice(1)}`, source, runs }];
  });
  return { folder, path, manifest, entries };
}
