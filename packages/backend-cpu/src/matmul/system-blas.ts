import { bindBlas } from "./bind-blas.ts";
import { nodeBuiltin, nodeProcess } from "./host.ts";
import { openblasCoreType } from "./openblas-core.ts";
import type { BlasLibrary } from "./provider.ts";

/** What became of one attempt to load a library. */
export interface BlasAttempt {
  /** As the system's loader was asked for it. */
  readonly library: string;
  readonly blas: BlasLibrary | null;
  /** What was found, or why it is not used. */
  readonly detail: string;
}

const libraries: Readonly<Record<string, readonly string[]>> = {
  darwin: [
    "/System/Library/Frameworks/Accelerate.framework/Accelerate",
    "libopenblas.dylib",
    "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
  ],
  linux: [
    "libopenblas.so.0",
    "libopenblas.so",
    "libmkl_rt.so.3",
    "libmkl_rt.so.2",
    "libmkl_rt.so",
    "libblis.so.4",
    "libblis.so",
    "libblas.so.3",
  ],
  win32: [
    "libopenblas.dll",
    "openblas.dll",
    "mkl_rt.3.dll",
    "mkl_rt.2.dll",
    "mkl_rt.dll",
    "libblis.dll",
  ],
};

/** The environment variable that names the library to take: a path, or a name that the system's loader finds. */
export const libraryVariable = "LATENTKIT_BLAS";

/** Libraries that are looked for on this system, in order; only the user's where {@link libraryVariable} names one. */
export function blasCandidates(): readonly string[] {
  const host = nodeProcess();
  const own = host?.env[libraryVariable];
  if (own !== undefined && own !== "") return [own];
  return libraries[host?.platform ?? ""] ?? [];
}

/** Path of the FFI, or the reason why there is none. It is an optional peer and is never bundled. */
export function findKoffi(): { readonly path: string } | { readonly missing: string } {
  if (nodeProcess() === null) return { missing: "no system libraries outside Node" };
  // `node:module` has this member.
  const { createRequire } = nodeBuiltin("node:module") as {
    createRequire: (path: string) => { resolve(name: string): string };
  };
  try {
    return { path: createRequire(import.meta.url).resolve("koffi") };
  } catch (error) {
    return {
      missing: `the package koffi could not be loaded (${firstLine(error)}); install it with: npm install koffi`,
    };
  }
}

/** Loads a library and binds its `cblas_sgemm`. */
export function loadBlas(koffi: string, library: string): BlasAttempt {
  const host = nodeProcess();
  const coreType = openblasCoreType(library);
  try {
    // Read once, while the library is loaded; child processes must not inherit it.
    if (coreType !== null && host !== null) host.env["OPENBLAS_CORETYPE"] = coreType;
    const blas = bindBlas({ koffi, library });
    return { library, blas, detail: blas.name };
  } catch (error) {
    return { library, blas: null, detail: firstLine(error) };
  } finally {
    if (coreType !== null && host !== null) delete host.env["OPENBLAS_CORETYPE"];
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
