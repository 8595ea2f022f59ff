export { checkpointFolder } from "./checkpoint-folder.ts";
export { loadHistory, loadSae } from "./load-sae.ts";
export type { LoadSaeOptions } from "./load-sae.ts";
export { saveSae } from "./save-sae.ts";
export type { SaveSaeOptions } from "./save-sae.ts";
export { trainSae } from "./train-sae.ts";
export type { TrainSaeOptions } from "./train-sae.ts";
