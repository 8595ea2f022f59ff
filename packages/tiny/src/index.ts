export { fetchTiny } from "./fetch-tiny.ts";
export { tinyFiles, tinyLayers } from "./files.ts";
export { loadTiny } from "./load-tiny.ts";
export type { LoadTinyOptions, TinyOptions } from "./load-tiny.ts";
export { loadTinySae } from "./load-tiny-sae.ts";
export type { LoadTinySaeOptions, TinySaeOptions } from "./load-tiny-sae.ts";
export type { TinyReader } from "./reader.ts";
export { tinyVersions } from "./version.ts";
export type { TinyVersion } from "./version.ts";
