import { FormatError } from "@latentkit/core";
import type { ByteSource } from "../byte-source.ts";
import { fileStore } from "../file-store.ts";
import type { TensorStore } from "../tensor-store.ts";
import { parseSafetensorsHeader } from "./parse-header.ts";

/** A safetensors file: its tensors and the strings of `__metadata__`. */
export interface SafetensorsStore extends TensorStore {
  readonly metadata: Readonly<Record<string, string>>;
}

/** Headers above this are refused, as the reference implementation does. */
const maximumHeader = 100_000_000;

/**
 * Opens a safetensors file. Reads and checks the whole header; tensors are read when asked for.
 *
 * Throws {@link FormatError}: `SAFETENSORS_TRUNCATED`, `SAFETENSORS_HEADER_LENGTH`, `SAFETENSORS_HEADER`, `SAFETENSORS_TENSOR`,
 * `SAFETENSORS_OFFSETS`.
 */
export async function openSafetensors(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<SafetensorsStore> {
  if (source.size < 8) {
    throw new FormatError({
      code: "SAFETENSORS_TRUNCATED",
      message: `the file has ${source.size} bytes; a safetensors file has at least 8`,
      fix: "get the file again",
      where: source.name,
    });
  }
  const start = await source.read(0, 8, signal);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  const possible = Math.min(source.size - 8, maximumHeader);
  if (length > BigInt(possible)) {
    throw new FormatError({
      code: "SAFETENSORS_HEADER_LENGTH",
      message: `the file says that its header has ${length} bytes, but it can have ${possible} at most`,
      fix: "the file is cut short or is no safetensors file: get it again",
      where: source.name,
    });
  }
  const headerLength = Number(length);
  const header = await source.read(8, headerLength, signal);
  const dataStart = 8 + headerLength;
  const { metadata, tensors } = parseSafetensorsHeader(
    header,
    dataStart,
    source.size - dataStart,
    source.name,
  );
  return { ...fileStore(source, tensors), metadata };
}
