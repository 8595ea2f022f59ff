import { ConfigError } from "@latentkit/core";
import { Device } from "@latentkit/tensor";
import { createCpuBackend } from "./backend.ts";
import {
  type Calibration,
  chooseLibrary,
  type MatmulChoice,
  rememberedSurvey,
  type TriedLibrary,
} from "./matmul/choose.ts";
import { processors } from "./matmul/host.ts";
import { canLaunch } from "./threads/launch.ts";
import { kernelFlavour } from "./wasm/instance.ts";
import { build } from "./wasm/kernels.generated.ts";

/** Options of {@link openCpuDevice}. */
export interface OpenCpuDeviceOptions {
  /**
   * Who computes matrix products. `"auto"` (the default) takes the system's BLAS where there is one that gives right numbers
   * and is not clearly slower than our own kernels, as measured once for the process; `"blas"` insists on it; `"wasm"` never looks.
   */
  readonly matmul?: MatmulChoice | undefined;
  /**
   * Threads that kernels run on, the caller's among them; as many as there are processors by default. Results do not depend on
   * it. Outside Node all work is done on the calling thread.
   */
  readonly threads?: number | undefined;
  /** Bytes of tensors and scratch that the device may hold; at most (and by default) 4 GiB. */
  readonly memoryLimit?: number | undefined;
  /** Bytes of stored weights that the device may hold beside them; as many as the system gives by default. */
  readonly weightLimit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A device on the CPU: SIMD kernels on all processors over one WebAssembly memory, matrix products through the system's BLAS
 * where there is one. Runs in Node and, on one thread with our own matrix product, in browsers. The caller disposes the device.
 *
 * Throws `DeviceError`: `BLAS_UNAVAILABLE` if `matmul` is `"blas"` and none works, `WASM_UNAVAILABLE` without WebAssembly
 * SIMD; later `DEVICE_OUT_OF_MEMORY` when the limit is reached.
 */
export async function openCpuDevice(options: OpenCpuDeviceOptions = {}): Promise<Device> {
  if (
    options.threads !== undefined &&
    !(Number.isInteger(options.threads) && options.threads > 0)
  ) {
    throw new ConfigError({
      code: "VALUE_RANGE",
      message: `openCpuDevice got threads = ${options.threads}, expected an integer of at least 1`,
      fix: "give the number of threads, or leave it out to use all processors",
    });
  }
  const library = await chooseLibrary(options.matmul ?? "auto", options.signal);
  const { threads, memoryLimit, weightLimit } = options;
  return new Device(await createCpuBackend({ library, threads, memoryLimit, weightLimit }));
}

/** What {@link describeCpu} found. */
export interface CpuDescription {
  /** Hash of the kernels. */
  readonly build: string;
  /** `"relaxed"` has fused multiply-add (Node 22 and later, and Node 20 by a flag), `"plain"` has not. */
  readonly simd: "plain" | "relaxed";
  /** Libraries looked for, in order, up to the first that is usable. */
  readonly tried: readonly TriedLibrary[];
  /** Threads that kernels run on. */
  readonly threads: number;
  /** Speed of each provider of matrix products, on one thread. */
  readonly calibrations: readonly Calibration[];
  /** The provider that `"auto"` takes. */
  readonly matmul: string;
}

/** What this machine offers, for people: which libraries were tried, which provider is taken and how fast it is. */
export async function describeCpu(): Promise<CpuDescription> {
  const { tried, calibrations, library, fastest } = await rememberedSurvey();
  return {
    build,
    simd: kernelFlavour(),
    threads: canLaunch() ? processors() : 1,
    tried,
    calibrations,
    matmul: fastest === "blas" && library !== null ? library.name : "wasm",
  };
}
