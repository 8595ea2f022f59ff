import { nodeBuiltin } from "./host.ts";
import type { BlasLibrary, BlasOrigin } from "./provider.ts";

/** The parts of koffi that are used. */
interface Koffi {
  load(path: string): KoffiLibrary;
  address(buffer: Uint8Array): bigint;
}
interface KoffiLibrary {
  func(prototype: string): (...args: unknown[]) => unknown;
}

const [rowMajor, noTranspose, transposed] = [101, 111, 112];

/** Opens a library on this thread. Throws what the loader throws. */
export function bindBlas(origin: BlasOrigin): BlasLibrary {
  // `node:module` has this member; koffi's types are those above.
  const { createRequire } = nodeBuiltin("node:module") as {
    createRequire: (path: string) => (name: string) => unknown;
  };
  const loaded = createRequire(origin.koffi)(origin.koffi);
  const koffi = loaded as Koffi; // the members above are those of koffi 3.3 and later
  const handle = koffi.load(origin.library);
  // Addresses as numbers: nothing is allocated for a call, and memory that grew or is shared needs no new views.
  const sgemm = handle.func(
    "void cblas_sgemm(int, int, int, int, int, int, float, uintptr_t, int, uintptr_t, int, float, uintptr_t, int)",
  );
  useOneThread(handle);
  return {
    name: nameOf(handle, origin.library),
    origin,
    address: (buffer) => Number(koffi.address(new Uint8Array(buffer))),
    sgemm(transposeA, transposeB, m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut) {
      const opA = transposeA ? transposed : noTranspose;
      const opB = transposeB ? transposed : noTranspose;
      sgemm(rowMajor, opA, opB, m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut);
    },
  };
}

/** Holds the library to the thread that calls it, where it has a function for that. */
function useOneThread(handle: KoffiLibrary): void {
  for (const prototype of [
    "void openblas_set_num_threads(int)",
    "void MKL_Set_Num_Threads(int)",
    "void bli_thread_set_num_threads(int64_t)",
  ])
    ask(handle, prototype, 1);
}

/** Name and version, as far as the library tells. */
function nameOf(handle: KoffiLibrary, library: string): string {
  const openblas = ask(handle, "const char *openblas_get_config()");
  if (typeof openblas === "string") {
    const version = /OpenBLAS (\S+)/.exec(openblas)?.[1] ?? "";
    const core = ask(handle, "const char *openblas_get_corename()");
    return `openblas ${version} (${String(core)})`;
  }
  if (typeof ask(handle, "int mkl_get_max_threads()") === "number") return "mkl";
  const blis = ask(handle, "const char *bli_info_get_version_str()");
  if (typeof blis === "string") return `blis ${blis}`;
  if (library.includes("Accelerate")) return "accelerate";
  return library.replace(/^.*[/\\]/, "");
}

function ask(handle: KoffiLibrary, prototype: string, ...args: unknown[]): unknown {
  try {
    return handle.func(prototype)(...args);
  } catch {
    return null; // not that library
  }
}
