export { bytesPerElement, dtypes, parseDType } from "./dtype.ts";
export type { DType } from "./dtype.ts";
export {
  AbortedError,
  ConfigError,
  describeError,
  DeviceError,
  DTypeError,
  FormatError,
  internalFault,
  IoError,
  LatentkitError,
  MismatchError,
  ShapeError,
} from "./errors.ts";
export type { ErrorDetails } from "./errors.ts";
export { fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "./half.ts";
export { throwIfAborted, yieldToEventLoop } from "./progress.ts";
export type { LongCallOptions, OnProgress, ProgressEvent } from "./progress.ts";
export { philox4x32, Random } from "./random.ts";
export type { RandomState } from "./random.ts";
export { RandomKey } from "./random-key.ts";
export { broadcastShapes, checkShape, formatShape, sameShape, sizeOf, stridesOf } from "./shape.ts";
export type { Shape } from "./shape.ts";
export { decodeStored, storedBlock, storedFormats } from "./stored-format.ts";
export type { StoredBlock, StoredFormat } from "./stored-format.ts";
