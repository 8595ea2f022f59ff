import { cpuFlags, fileSystem, nodeProcess } from "./host.ts";

/** The first version that is trusted to know current CPUs by itself. */
const trusted = [0, 3, 22] as const;

const folders: readonly string[] = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/x86_64-linux-gnu/openblas-pthread",
  "/lib/x86_64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
];

/**
 * The kernels that OpenBLAS should be told to use, or null to leave the choice to it.
 *
 * OpenBLAS before 0.3.22 knows CPUs by model number and falls back to SSE kernels (`Prescott`, a tenth of the speed) on models
 * that are newer than itself. Its SkylakeX kernels need AVX-512 alone and Haswell's AVX2, whatever the model. A setting of the
 * user's is left alone, and so is a library whose file name shows a newer version.
 *
 * @param library the name the library is loaded by
 */
export function openblasCoreType(
  library: string,
  flags: ReadonlySet<string> = cpuFlags(),
  version: readonly number[] | null = installedVersion(library),
): string | null {
  const host = nodeProcess();
  if (
    host === null ||
    host.platform !== "linux" ||
    host.arch !== "x64" ||
    host.env["OPENBLAS_CORETYPE"] !== undefined
  )
    return null;
  if (!library.includes("openblas") || (version !== null && !isOlder(version, trusted)))
    return null;
  if (["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"].every((flag) => flags.has(flag)))
    return "SkylakeX";
  return flags.has("avx2") && flags.has("fma") ? "Haswell" : null;
}

/** The version in the file name that the library's link leads to (`libopenblasp-r0.3.21.so`), or null. */
function installedVersion(library: string): readonly number[] | null {
  const files = fileSystem();
  if (files === null) return null;
  const paths = library.includes("/") ? [library] : folders.map((folder) => `${folder}/${library}`);
  for (const path of paths) {
    try {
      const found = /r(\d+)\.(\d+)\.(\d+)/.exec(files.realpathSync(path));
      if (found !== null) return found.slice(1).map(Number);
    } catch {
      // Not there: the next folder.
    }
  }
  return null;
}

function isOlder(version: readonly number[], than: readonly number[]): boolean {
  for (const [place, part] of than.entries()) {
    const own = version[place] ?? 0;
    if (own !== part) return own < part;
  }
  return false;
}
