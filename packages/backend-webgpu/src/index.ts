export { describeWebGpu, openWebGpuDevice } from "./open.ts";
export type { OpenWebGpuDeviceOptions, WebGpuDescription, WebGpuLimits } from "./open.ts";
