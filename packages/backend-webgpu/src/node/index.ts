export { openTunedWebGpuDevice } from "./open-tuned.ts";
export type { OpenTunedWebGpuDeviceOptions } from "./open-tuned.ts";
export { readTunedPlans, tunedPlansPath, writeTunedPlans } from "./plan-file.ts";
