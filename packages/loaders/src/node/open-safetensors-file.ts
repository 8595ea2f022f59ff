import { openSafetensors, type SafetensorsStore } from "../safetensors/open-safetensors.ts";
import { openFile } from "./file-source.ts";

/**
 * Opens a safetensors file by its path; closing the store closes the file.
 *
 * @throws IoError `FILE_MISSING`, `FILE_DENIED`; FormatError as `openSafetensors`. The file is closed then.
 */
export async function openSafetensorsFile(
  path: string,
  signal?: AbortSignal,
): Promise<SafetensorsStore> {
  const source = await openFile(path);
  try {
    return await openSafetensors(source, signal);
  } catch (error) {
    await source.close();
    throw error;
  }
}
