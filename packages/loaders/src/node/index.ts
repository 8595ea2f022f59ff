export { openFile } from "./file-source.ts";
export { openCheckpoint } from "./open-checkpoint.ts";
export type { OpenCheckpointOptions } from "./open-checkpoint.ts";
export { openSafetensorsFile } from "./open-safetensors-file.ts";
export { readJson } from "./read-json.ts";
export { readText } from "./read-text.ts";
export { writeFileAtomic } from "./write-file-atomic.ts";
export type { WriteOptions } from "./write-file-atomic.ts";
export { writeSafetensors } from "./write-safetensors.ts";
