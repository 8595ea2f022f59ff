export { describeWebGpu, findWebGpuAdapter, openWebGpuDevice } from "./open.ts";
export type {
  OpenWebGpuDeviceOptions,
  WebGpuAdapter,
  WebGpuDescription,
  WebGpuLimits,
} from "./open.ts";
export { profileWebGpu } from "./profile/profile.ts";
export type { KernelTime, Profiled } from "./profile/profile.ts";
export type { FeatureSwitch } from "./features.ts";
export { parseTunedPlans } from "./tuner/store.ts";
export type { TunedPlans } from "./tuner/store.ts";
export { tuneMatmul } from "./tuner/tune.ts";
export type { TuneMeasurement, TuneOptions, TuneShape } from "./tuner/tune.ts";
