import { setFlagsFromString } from "node:v8";
import { simdFlavour } from "@latentkit/backend-cpu";

/**
 * Turns on WebAssembly's relaxed SIMD (fused multiply-add) where the engine has it behind a flag, as Node 20 does; from Node 22 on
 * it is on by itself, and the flag is unknown. Only a program may do this, and before any kernel is compiled: a library must not
 * change the engine under its user.
 */
export function enableRelaxedSimd(): void {
  if (simdFlavour() === "relaxed" || !process.versions.node.startsWith("20.")) return;
  setFlagsFromString("--experimental-wasm-relaxed-simd");
}
