export { inspectWebGpu } from "./inspect.ts";
export type { InspectWebGpuOptions, WebGpuInspection } from "./inspect.ts";
export { openDevice } from "./open.ts";
export type {
  DeclinedDevice,
  DeviceChoice,
  DeviceReport,
  OpenDeviceOptions,
  OpenedDevice,
} from "./open.ts";
export { profileDevice } from "./profile.ts";
export { selfCheck } from "./self-check.ts";
export type { CheckedOperator, SelfCheck, SelfCheckOptions } from "./self-check.ts";
