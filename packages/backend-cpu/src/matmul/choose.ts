import { DeviceError, throwIfAborted } from "@latentkit/core";
import { Heap } from "../memory/heap.ts";
import { createEngine } from "../threads/engine.ts";
import { warnOnce } from "../warning.ts";
import { prepareKernels } from "../wasm/instance.ts";
import { instantiateOver } from "../wasm/instantiate.ts";
import { nodeProcess } from "./host.ts";
import type { BlasLibrary, Gemm } from "./provider.ts";
import { selfCheck, selfCheckBytes } from "./self-check.ts";
import { type BlasAttempt, blasCandidates, findKoffi, loadBlas } from "./system-blas.ts";
import { wasmProvider } from "./wasm-gemm.ts";

/** Who computes matrix products: the system's BLAS, our own kernels, or whichever of them is faster here. */
export type MatmulChoice = "auto" | "blas" | "wasm";

/** A library that was looked for. */
export interface TriedLibrary {
  readonly library: string;
  readonly usable: boolean;
  /** Whether it was loaded and gave wrong numbers. */
  readonly refused: boolean;
  /** Its name and version, or why it is not used. */
  readonly detail: string;
}

/** A provider's speed on a product of 384 x 384 matrices, on one thread. */
export interface Calibration {
  readonly name: string;
  readonly threads: number;
  /** Billions of floating-point operations a second. */
  readonly gflops: number;
}

/** What was found on this machine. */
export interface MatmulSurvey {
  readonly tried: readonly TriedLibrary[];
  readonly calibrations: readonly Calibration[];
  /** The first library that gives right numbers, whether or not it is the fastest provider. */
  readonly library: BlasLibrary | null;
  /** What `"auto"` takes: the library, unless our own kernels are at least twice as fast. */
  readonly fastest: "blas" | "wasm";
}

/** Where libraries come from; tests put their own in. */
export type BlasSource = () => Iterable<BlasAttempt>;

const calibrationSize = 384;
/** Our own kernels must be this many times as fast as a library to be taken instead. */
const clearly = 2;

/** The libraries of this system, loaded one after the other as they are asked for. */
export function systemLibraries(): Iterable<BlasAttempt> {
  const koffi = findKoffi();
  if ("missing" in koffi) return [{ library: "system BLAS", blas: null, detail: koffi.missing }];
  return (function* attempts(): Generator<BlasAttempt> {
    for (const library of blasCandidates()) yield loadBlas(koffi.path, library);
  })();
}

/** Takes the first library whose products are right, and measures it against our own kernels. */
export async function surveyMatmul(source: BlasSource = systemLibraries): Promise<MatmulSurvey> {
  const { module, memory } = await prepareKernels(false);
  const { heapStart, gemmScratchBytes } = instantiateOver(module, memory);
  const scratch = heapStart();
  const heap = new Heap(memory, scratch + gemmScratchBytes(), 64 * 1024 * 1024);
  const gemmOf = (blas: BlasLibrary | null): Gemm =>
    createEngine({ thread: 0, module, memory, blas, scratch }).gemm;
  const tried: TriedLibrary[] = [];
  let library: BlasLibrary | null = null;
  for (const { library: name, blas, detail } of source()) {
    const fault =
      blas === null
        ? null
        : heap.withScratch(selfCheckBytes, (address) =>
            checkSafely(gemmOf(blas), {
              buffer: heap.buffer,
              address,
              byteLength: selfCheckBytes,
            }),
          );
    tried.push({
      library: name,
      usable: blas !== null && fault === null,
      refused: fault !== null,
      detail: fault === null ? detail : `${detail} is refused: ${fault}`,
    });
    if (blas === null || fault !== null) continue;
    library = blas;
    break;
  }
  const candidates: readonly (BlasLibrary | null)[] = library === null ? [null] : [library, null];
  const calibrations = candidates.map((blas): Calibration => ({
    name: blas === null ? wasmProvider.name : blas.name,
    threads: 1,
    gflops: measure(gemmOf(blas), heap),
  }));
  const [first, second] = calibrations;
  // Other programs disturb so short a measurement, and the choice must not change from run to run: only a library that is
  // clearly slower, such as the reference BLAS, loses.
  const fastest =
    library !== null && (first?.gflops ?? 0) * clearly >= (second?.gflops ?? 0) ? "blas" : "wasm";
  return { tried, calibrations, library, fastest };
}

let survey: Promise<MatmulSurvey> | null = null;

/** {@link surveyMatmul} of this system, made once for the process. */
export function rememberedSurvey(): Promise<MatmulSurvey> {
  survey ??= surveyMatmul();
  return survey;
}

/** Code of the warning that a library is refused, or that there is none. */
export const fallbackCode = "LATENTKIT_MATMUL_FALLBACK";

/**
 * The library for a choice, null for our own kernels. In Node, `"auto"` gives one warning for the process, of code
 * {@link fallbackCode}, where a library is refused for its wrong numbers, and where our own kernels have to stand in.
 *
 * Throws `DeviceError` `BLAS_UNAVAILABLE` if `"blas"` has none.
 */
export async function chooseLibrary(
  choice: MatmulChoice,
  signal?: AbortSignal,
  look: () => Promise<MatmulSurvey> = rememberedSurvey,
): Promise<BlasLibrary | null> {
  throwIfAborted(signal);
  if (choice === "wasm") return null;
  const found = await look();
  throwIfAborted(signal);
  if (choice === "auto") {
    const reason = fallbackReason(found);
    if (reason !== null && nodeProcess() !== null) warnOnce(fallbackCode, reason);
    return found.fastest === "blas" ? found.library : null;
  }
  if (found.library !== null) return found.library;
  const reasons = reasonsOf(found);
  throw new DeviceError({
    code: "BLAS_UNAVAILABLE",
    message: `matmul "blas" needs a system BLAS, and none works here (${reasons === "" ? "no library is known for this platform" : reasons})`,
    fix: 'install OpenBLAS (Debian: apt-get install libopenblas0-pthread) and the package koffi, or use matmul "auto" or "wasm"',
  });
}

/** Why `"auto"` does not take the first library there is, in words; null if it does. */
export function fallbackReason(found: MatmulSurvey): string | null {
  const { library, fastest, calibrations, tried } = found;
  const chosen =
    fastest === "blas" && library !== null
      ? `matrix products go to ${library.name}`
      : `matrix products run on Latentkit's own kernels, several times slower than a good library; install OpenBLAS (Debian: apt-get install libopenblas0-pthread) and the package koffi, or open the device with matmul "wasm" to say that this is wanted`;
  const refused = tried.filter((each) => each.refused);
  if (refused.length > 0)
    return `${refused.map((each) => `${each.library}: ${each.detail}`).join("; ")}; ${chosen}`;
  if (library === null) return `no BLAS library works here (${reasonsOf(found)}); ${chosen}`;
  if (fastest === "blas") return null;
  const speeds = calibrations.map(({ name, gflops }) => `${name}: ${gflops.toFixed(1)}`).join(", ");
  return `${library.name} is far slower than our own kernels (GFLOP/s: ${speeds}), as libraries are that do not know this CPU; ${chosen}`;
}

function reasonsOf({ tried }: MatmulSurvey): string {
  return tried.map(({ library, detail }) => `${library}: ${detail}`).join("; ");
}

function checkSafely(gemm: Gemm, scratch: Parameters<typeof selfCheck>[1]): string | null {
  try {
    return selfCheck(gemm, scratch);
  } catch (error) {
    return `it failed (${error instanceof Error ? error.message : String(error)})`;
  }
}

function measure(gemm: Gemm, heap: Heap): number {
  const size = calibrationSize;
  const bytes = size * size * 4;
  return heap.withScratch(3 * bytes, (address) => {
    new Float32Array(heap.buffer, address, 3 * size * size).fill(0.5);
    let best = Number.POSITIVE_INFINITY;
    // The first run starts the library's threads and compiles our kernels.
    for (let run = 0; run < 4; run++) {
      const start = performance.now();
      gemm.sgemm({
        transposeA: false,
        transposeB: true,
        m: size,
        n: size,
        k: size,
        alpha: 1,
        beta: 0,
        a: address,
        strideA: size,
        b: address + bytes,
        strideB: size,
        out: address + 2 * bytes,
        strideOut: size,
      });
      best = Math.min(best, performance.now() - start);
    }
    return (2 * size ** 3) / (best * 1e6);
  });
}
