export { folderReader, tinyFolder } from "./folder.ts";
export { loadTiny, loadTinySae } from "./load.ts";
export type { TinyFolderOptions } from "./load.ts";
