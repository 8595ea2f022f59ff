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

/** Opens a library for this process: held to one thread, and named. Throws what the loader throws. */
export function bindBlas(origin: BlasOrigin): BlasLibrary {
  const { handle, library } = open(origin);
  const mkl = settleMkl(handle);
  useOneThread(handle);
  return {
    ...library,
    name: mkl ? `mkl ${mklVersion(handle)}`.trim() : nameOf(handle, origin.library),
  };
}

/**
 * Opens on another thread a library that {@link bindBlas} has settled. It asks for nothing that may not be there: where a thread is
 * ended while native code throws, the process aborts.
 */
export function bindProducts(origin: BlasOrigin): BlasLibrary {
  return open(origin).library;
}

function open(origin: BlasOrigin): { handle: KoffiLibrary; library: BlasLibrary } {
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
  const library: BlasLibrary = {
    name: origin.library,
    origin,
    address: (buffer) => Number(koffi.address(new Uint8Array(buffer))),
    sgemm(transposeA, transposeB, m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut) {
      const opA = transposeA ? transposed : noTranspose;
      const opB = transposeB ? transposed : noTranspose;
      sgemm(rowMajor, opA, opB, m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut);
    },
  };
  return { handle, library };
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

/** Whether it is MKL, told to have no threads of its own. Its first call settles that, so this one comes before all others. */
function settleMkl(handle: KoffiLibrary): boolean {
  const sequential = 1;
  if (typeof ask(handle, "int MKL_Set_Threading_Layer(int)", sequential) !== "number") return false;
  // Unless it is told so, sums depend on where the matrices lie in memory. Of the instructions, the first that the CPU has.
  const [strict, avx512, avx2] = [0x1_00_00, 12, 10];
  for (const branch of [avx512, avx2])
    if (ask(handle, "int MKL_CBWR_Set(int)", branch | strict) === 0) break;
  return true;
}

/** `Version 2026.0` of `Intel(R) oneAPI Math Kernel Library Version 2026.0-Product Build ...`. */
function mklVersion(handle: KoffiLibrary): string {
  const text = new Uint8Array(198);
  ask(handle, "void MKL_Get_Version_String(uint8_t *, int)", text, text.length);
  return /Version ([\d.]+)/.exec(new TextDecoder().decode(text))?.[1] ?? "";
}

/** Name and version, as far as the library tells. */
function nameOf(handle: KoffiLibrary, library: string): string {
  const openblas = ask(handle, "const char *openblas_get_config()");
  if (typeof openblas === "string") {
    const version = /OpenBLAS (\S+)/.exec(openblas)?.[1] ?? "";
    const core = ask(handle, "const char *openblas_get_corename()");
    return `openblas ${version} (${String(core)})`;
  }
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
