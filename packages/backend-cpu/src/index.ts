export { describeCpu, openCpuDevice } from "./open.ts";
export type { CpuDescription, OpenCpuDeviceOptions } from "./open.ts";
export type { Calibration, MatmulChoice, TriedLibrary } from "./matmul/choose.ts";
