export { openDevice } from "./open.ts";
export type {
  DeclinedDevice,
  DeviceChoice,
  DeviceReport,
  OpenDeviceOptions,
  OpenedDevice,
} from "./open.ts";
