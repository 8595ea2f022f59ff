import { DeviceError } from "@latentkit/core";
import { wasmEngine, type WasmMemory, type WasmModule } from "./engine.ts";
import type { KernelExports } from "./kernels.generated.ts";

/** The kernels over a memory, at once. Only for threads that may compile synchronously: Node's, and workers. */
export function instantiateOver(module: WasmModule, memory: WasmMemory): KernelExports {
  const engine = wasmEngine();
  if (engine === undefined) {
    throw new DeviceError({
      code: "WASM_UNAVAILABLE",
      message: "this engine has no WebAssembly",
      fix: "use Node 20 or later, or a browser of 2023 or later",
    });
  }
  const { exports } = new engine.Instance(module, { env: { memory, abort } });
  // The build script derives KernelExports from the same sources as the module.
  return exports as KernelExports;
}

function abort(): never {
  throw new DeviceError({
    code: "KERNEL_ABORTED",
    message: "a WebAssembly kernel stopped",
    fix: "this is a fault in Latentkit: report it",
  });
}
