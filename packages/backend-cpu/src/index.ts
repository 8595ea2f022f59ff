export { describeCpu, openCpuDevice } from "./open.ts";
export type { CpuDescription, OpenCpuDeviceOptions } from "./open.ts";
export type { Calibration, MatmulChoice, TriedLibrary } from "./matmul/choose.ts";
export type { KernelFlavour } from "./wasm/instance.ts";
export { kernelFlavour as simdFlavour } from "./wasm/instance.ts";
