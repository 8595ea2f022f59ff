import { nodeProcess } from "./host.ts";
import { openblasCoreType } from "./openblas-core.ts";
import type { BlasLibrary } from "./provider.ts";

/** The parts of koffi that are used. */
interface Koffi {
  load(path: string): KoffiLibrary;
}
interface KoffiLibrary {
  func(prototype: string): (...args: unknown[]) => unknown;
}

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
    "libmkl_rt.so.2",
    "libmkl_rt.so",
    "libblis.so.4",
    "libblis.so",
    "libblas.so.3",
  ],
  win32: ["libopenblas.dll", "openblas.dll", "mkl_rt.2.dll", "mkl_rt.dll", "libblis.dll"],
};

const [rowMajor, noTranspose, transposed] = [101, 111, 112];

/**
 * Multiplications (m n k) up to which OpenBLAS is held to one thread. Such a product takes some 40 microseconds; waking and
 * joining a thread costs as much, and far more where other programs hold the cores (attention over 128 tokens, two threads,
 * busy machine: 446 ms for a model's layers, against 159).
 */
const oneThreadProducts = 1 << 21;

/** Libraries that are looked for on this system, in order. */
export function blasCandidates(): readonly string[] {
  return libraries[nodeProcess()?.platform ?? ""] ?? [];
}

/** The FFI, or the reason why there is none. It is an optional peer and is never bundled. */
export async function loadKoffi(): Promise<Koffi | string> {
  if (nodeProcess() === null) return "no system libraries outside Node";
  const name = "koffi"; // a variable, so that bundlers leave the import alone
  try {
    const loaded: unknown = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
    // koffi is CommonJS: its functions are on the default export, and with some loaders on the namespace too.
    const { default: koffi } = loaded as { default: Koffi };
    return koffi;
  } catch (error) {
    return `the package koffi could not be loaded (${firstLine(error)}); install it with: npm install koffi`;
  }
}

/** Loads a library and binds its `cblas_sgemm`. */
export function loadBlas(koffi: Koffi, library: string): BlasAttempt {
  const host = nodeProcess();
  const coreType = openblasCoreType(library);
  try {
    // Read once, while the library is loaded; child processes must not inherit it.
    if (coreType !== null && host !== null) host.env["OPENBLAS_CORETYPE"] = coreType;
    const handle = koffi.load(library);
    const blas = bind(handle, library);
    return { library, blas, detail: blas.name };
  } catch (error) {
    return { library, blas: null, detail: firstLine(error) };
  } finally {
    if (coreType !== null && host !== null) delete host.env["OPENBLAS_CORETYPE"];
  }
}

function bind(handle: KoffiLibrary, library: string): BlasLibrary {
  const sgemm = handle.func(
    "void cblas_sgemm(int, int, int, int, int, int, float, float *, int, float *, int, float, float *, int)",
  );
  const { name, threads } = identify(handle, library);
  const setThreads =
    threads > 1 && name.startsWith("openblas")
      ? handle.func("void openblas_set_num_threads(int)")
      : null;
  let active = threads;
  return {
    name,
    threads,
    sgemm(transposeA, transposeB, m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut) {
      const [opA, opB] = [
        transposeA ? transposed : noTranspose,
        transposeB ? transposed : noTranspose,
      ];
      const wanted = m * n * k <= oneThreadProducts ? 1 : threads;
      if (setThreads !== null && wanted !== active) {
        setThreads(wanted);
        active = wanted;
      }
      sgemm(rowMajor, opA, opB, m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut);
    },
  };
}

/** Name, version and threads, as far as the library tells. */
function identify(handle: KoffiLibrary, library: string): { name: string; threads: number } {
  const ask = (prototype: string, ...args: unknown[]): unknown => {
    try {
      return handle.func(prototype)(...args);
    } catch {
      return null; // not that library
    }
  };
  const openblas = ask("const char *openblas_get_config()");
  if (typeof openblas === "string") {
    const version = /OpenBLAS (\S+)/.exec(openblas)?.[1] ?? "";
    const core = ask("const char *openblas_get_corename()");
    return {
      name: `openblas ${version} (${String(core)})`,
      threads: Number(ask("int openblas_get_num_threads()") ?? 1),
    };
  }
  const mkl = ask("int mkl_get_max_threads()");
  if (typeof mkl === "number") return { name: "mkl", threads: mkl };
  const blis = ask("const char *bli_info_get_version_str()");
  if (typeof blis === "string")
    return {
      name: `blis ${blis}`,
      threads: Math.max(1, Number(ask("int64_t bli_thread_get_num_threads()") ?? 1)),
    };
  if (library.includes("Accelerate")) return { name: "accelerate", threads: 1 };
  return { name: library.replace(/^.*[/\\]/, ""), threads: 1 };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
