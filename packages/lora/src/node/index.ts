export { adapterCheckpointFile } from "./adapter-checkpoint-file.ts";
export { loadAdapter } from "./load-adapter.ts";
export type { LoadAdapterOptions } from "./load-adapter.ts";
export { openAdapterWeights } from "./open-adapter-weights.ts";
export { saveAdapter } from "./save-adapter.ts";
export type { SaveAdapterOptions } from "./save-adapter.ts";
