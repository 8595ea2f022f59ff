import { DeviceError } from "@latentkit/core";
import { wasmEngine, type WasmMemory, type WasmModule } from "./engine.ts";
import {
  build,
  plainMemoryFlags,
  plainModule,
  relaxedMemoryFlags,
  relaxedModule,
} from "./kernels.generated.ts";

export type { KernelExports } from "./kernels.generated.ts";

/** `(func (param v128 v128 v128) (result v128) local.get 0 1 2 f32x4.relaxed_madd)`: valid only with relaxed SIMD. */
const relaxedProbe = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  8,
  1,
  96,
  3,
  123,
  123,
  123,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  13,
  1,
  11,
  0,
  32,
  0,
  32,
  1,
  32,
  2,
  253,
  133,
  2,
  11,
);

/** Which of the two modules: `relaxed` has fused multiply-add. */
export type KernelFlavour = "plain" | "relaxed";

/** The compiled kernels and a memory for them. */
export interface KernelModule {
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  /** Hash of the kernels and their flavour. */
  readonly build: string;
}

/** The best flavour that this engine runs. */
export function kernelFlavour(): KernelFlavour {
  return wasmEngine()?.validate(relaxedProbe) === true ? "relaxed" : "plain";
}

const compiled = new Map<string, Promise<WasmModule>>();

/**
 * Compiles once for the process, with a new memory each time. Throws `DeviceError` `WASM_UNAVAILABLE` without WebAssembly SIMD.
 *
 * @param shared whether several threads will use the memory
 */
export async function prepareKernels(
  shared: boolean,
  flavour: KernelFlavour = kernelFlavour(),
): Promise<KernelModule> {
  const engine = wasmEngine();
  if (engine === undefined) throw unavailable("this engine has no WebAssembly");
  try {
    const kind = `${flavour} ${shared ? "shared" : "own"}`;
    const module = compiled.get(kind) ?? engine.compile(binaryOf(flavour, shared));
    compiled.set(kind, module);
    return { module: await module, memory: reserveMemory(shared), build: `${build}-${flavour}` };
  } catch (error) {
    if (!(error instanceof engine.CompileError || error instanceof RangeError)) throw error;
    throw unavailable(error.message, error);
  }
}

/** A memory that can grow as far as this engine reserves address space for; some browsers do not give 4 GiB. */
export function reserveMemory(shared: boolean): WasmMemory {
  const engine = wasmEngine();
  if (engine === undefined) throw unavailable("this engine has no WebAssembly");
  for (const maximum of [65_536, 32_768, 16_384]) {
    try {
      return new engine.Memory({ initial: 16, maximum, shared });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return new engine.Memory({ initial: 16, maximum: 8192, shared });
}

/** The module; for shared memory with the one flag set by which a module says that its memory is. */
function binaryOf(flavour: KernelFlavour, shared: boolean): Uint8Array<ArrayBuffer> {
  const relaxed = flavour === "relaxed";
  const bytes = decodeBase64(relaxed ? relaxedModule : plainModule);
  const flags = relaxed ? relaxedMemoryFlags : plainMemoryFlags;
  if (shared) bytes[flags] = sharedMemoryFlags;
  return bytes;
}

/** Limits flags of the binary format: a maximum is given (1), the memory is shared (2). */
const sharedMemoryFlags = 3;

function unavailable(reason: string, cause?: unknown): DeviceError {
  return new DeviceError({
    code: "WASM_UNAVAILABLE",
    message: `the WebAssembly kernels do not start here: ${reason}`,
    fix: "use an engine with WebAssembly SIMD (Node 20, or a browser of 2023 or later) and free address space",
    cause,
  });
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
