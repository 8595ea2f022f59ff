import { DeviceError } from "@latentkit/core";
import { wasmEngine, type WasmMemory, type WasmModule } from "./engine.ts";
import { build, type KernelExports, plainModule, relaxedModule } from "./kernels.generated.ts";

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

/** An instance of the kernels over a memory of its own. */
export interface KernelInstance {
  readonly exports: KernelExports;
  readonly memory: WasmMemory;
  /** Hash of the kernels and their flavour. */
  readonly build: string;
}

/** The best flavour that this engine runs. */
export function kernelFlavour(): KernelFlavour {
  return wasmEngine()?.validate(relaxedProbe) === true ? "relaxed" : "plain";
}

const compiled = new Map<KernelFlavour, Promise<WasmModule>>();

/** Compiles once for the process, instantiates each time. Throws `DeviceError` `WASM_UNAVAILABLE` without WebAssembly SIMD. */
export async function instantiateKernels(
  flavour: KernelFlavour = kernelFlavour(),
): Promise<KernelInstance> {
  const engine = wasmEngine();
  if (engine === undefined) throw unavailable("this engine has no WebAssembly");
  try {
    const module =
      compiled.get(flavour) ??
      engine.compile(decodeBase64(flavour === "relaxed" ? relaxedModule : plainModule));
    compiled.set(flavour, module);
    const memory = reserve();
    const instance = await engine.instantiate(await module, { env: { memory, abort } });
    // The build script derives KernelExports from the same sources as the module.
    return { exports: instance.exports as KernelExports, memory, build: `${build}-${flavour}` };
  } catch (error) {
    if (!(error instanceof engine.CompileError || error instanceof RangeError)) throw error;
    throw unavailable(error.message, error);
  }
}

/** A memory that can grow as far as this engine reserves address space for; some browsers do not give 4 GiB. */
function reserve(): WasmMemory {
  const engine = wasmEngine();
  if (engine === undefined) throw unavailable("this engine has no WebAssembly");
  for (const maximum of [65_536, 32_768, 16_384]) {
    try {
      return new engine.Memory({ initial: 16, maximum });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return new engine.Memory({ initial: 16, maximum: 8192 });
}

function abort(): never {
  throw new DeviceError({
    code: "KERNEL_ABORTED",
    message: "a WebAssembly kernel stopped",
    fix: "this is a fault in Latentkit: report it",
  });
}

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
