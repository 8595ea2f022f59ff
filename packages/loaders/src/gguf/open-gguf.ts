import { FormatError } from "@latentkit/core";
import type { ByteSource } from "../byte-source.ts";
import { fileStore } from "../file-store.ts";
import type { PlacedTensor } from "../file-store.ts";
import { blockLayout } from "../storage-format.ts";
import type { StorageFormat } from "../storage-format.ts";
import type { TensorStore } from "../tensor-store.ts";
import { ByteCursor, NeedMoreBytes } from "./byte-cursor.ts";
import { ggmlTypes } from "./ggml-types.ts";
import { readValue } from "./metadata.ts";
import type { GgufMetadata, GgufValue } from "./metadata.ts";

/** A GGUF file: its tensors under the names of the file, and its metadata. */
export interface GgufStore extends TensorStore {
  readonly version: 2 | 3;
  readonly metadata: GgufMetadata;
}

const magic = 0x46554747;
const firstWindow = 8 * 1024 * 1024;

/**
 * Opens a GGUF file of version 2 or 3, little-endian. Reads and checks metadata and tensor table; tensors are read when asked for.
 * Shapes come out slowest axis first, the reverse of the file's order.
 *
 * Throws {@link FormatError} with a `GGUF_...` code that names the fault.
 */
export async function openGguf(source: ByteSource, signal?: AbortSignal): Promise<GgufStore> {
  let window = Math.min(firstWindow, source.size);
  for (;;) {
    const bytes = await source.read(0, window, signal);
    try {
      const { version, metadata, tensors } = parse(
        new ByteCursor(bytes, source.size, source.name),
        source.size,
        source.name,
      );
      return { ...fileStore(source, tensors), version, metadata };
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      window = Math.min(source.size, Math.max(window * 2, error.atLeast));
    }
  }
}

interface TableRow {
  readonly name: string;
  readonly shape: readonly number[];
  readonly format: StorageFormat;
  readonly byteLength: number;
  readonly offset: number;
}

function parse(
  cursor: ByteCursor,
  size: number,
  where: string,
): Pick<GgufStore, "version" | "metadata"> & { tensors: Map<string, PlacedTensor> } {
  const version = readVersion(cursor, where);
  // A tensor takes at least a name's length, an axis count, a type and an offset; a value at least a key's length and a type.
  const tensorCount = cursor.count("the number of tensors", 24);
  const valueCount = cursor.count("the number of metadata values", 13);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = cursor.string("a metadata key");
    if (metadata.has(key))
      throw tableError("GGUF_DUPLICATE_KEY", `the metadata key "${key}" is there twice`, where);
    metadata.set(key, readValue(cursor, cursor.u32(`the type of "${key}"`), key, where));
  }
  const rows: TableRow[] = [];
  for (let i = 0; i < tensorCount; i++) rows.push(readRow(cursor, where));
  const alignment = readAlignment(metadata, where);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  return { version, metadata, tensors: placeTensors(rows, dataStart, size, alignment, where) };
}

function readVersion(cursor: ByteCursor, where: string): 2 | 3 {
  const start = cursor.u32("the magic number");
  if (start !== magic) {
    const given = start.toString(16).padStart(8, "0");
    throw tableError(
      "GGUF_MAGIC",
      `the file begins with 0x${given} where a GGUF file has 0x46554747 ("GGUF")`,
      where,
      "give a .gguf file",
    );
  }
  const version = cursor.u32("the version");
  if (version === 2 || version === 3) return version;
  if (version !== 0 && (version & 0xffff) === 0) {
    const fix = "convert it to little-endian with gguf-py's gguf_convert_endian";
    throw tableError(
      "GGUF_BIG_ENDIAN",
      "the file is big-endian; only little-endian files can be read",
      where,
      fix,
    );
  }
  const fix =
    version === 1
      ? "convert the model again with a current llama.cpp"
      : "update, or get the model as version 3";
  throw tableError(
    "GGUF_VERSION",
    `the file is of version ${version}; versions 2 and 3 can be read`,
    where,
    fix,
  );
}

function readRow(cursor: ByteCursor, where: string): TableRow {
  const name = cursor.string("a tensor's name");
  const axes = cursor.u32(`the number of axes of "${name}"`);
  if (axes > 4)
    throw tableError("GGUF_AXES", `tensor "${name}" has ${axes} axes; ggml knows 4 at most`, where);
  const reversed: number[] = [];
  for (let axis = 0; axis < axes; axis++)
    reversed.push(
      toOffset(cursor.u64(`the shape of "${name}"`), `axis ${axis} of tensor "${name}"`, where),
    );
  const type = cursor.u32(`the type of "${name}"`);
  const format = ggmlTypes.get(type);
  if (format === undefined) {
    const known = [...ggmlTypes.values()].join(", ");
    throw tableError(
      "GGUF_TENSOR_TYPE",
      `tensor "${name}" is of ggml type ${type}, which is unknown; known are ${known}`,
      where,
    );
  }
  const block = blockLayout(format);
  const rowLength = reversed[0] ?? 1;
  if (rowLength % block.elements !== 0) {
    throw tableError(
      "GGUF_BLOCKS",
      `tensor "${name}" has rows of ${rowLength}, but ${format} comes in blocks of ${block.elements}`,
      where,
    );
  }
  let byteLength = (rowLength / block.elements) * block.bytes;
  for (const axis of reversed.slice(1)) byteLength *= axis;
  if (!Number.isSafeInteger(byteLength)) {
    throw tableError(
      "GGUF_TENSOR_SIZE",
      `tensor "${name}" of shape [${reversed.toReversed().join(", ")}] is more than any file can hold`,
      where,
    );
  }
  const offset = toOffset(
    cursor.u64(`the offset of "${name}"`),
    `the offset of tensor "${name}"`,
    where,
  );
  return { name, shape: reversed.toReversed(), format, byteLength, offset };
}

function readAlignment(metadata: GgufMetadata, where: string): number {
  const alignment = metadata.get("general.alignment") ?? 32;
  if (
    typeof alignment === "number" &&
    alignment > 0 &&
    alignment <= 2 ** 30 &&
    Number.isInteger(Math.log2(alignment))
  )
    return alignment;
  throw tableError(
    "GGUF_ALIGNMENT",
    `general.alignment is ${String(alignment)}; a power of two was expected`,
    where,
  );
}

function placeTensors(
  rows: readonly TableRow[],
  dataStart: number,
  size: number,
  alignment: number,
  where: string,
): Map<string, PlacedTensor> {
  const tensors = new Map<string, PlacedTensor>();
  let reached = 0;
  for (const { name, shape, format, byteLength, offset } of rows.toSorted(
    (a, b) => a.offset - b.offset || a.byteLength - b.byteLength,
  )) {
    if (tensors.has(name))
      throw tableError("GGUF_DUPLICATE_TENSOR", `the tensor "${name}" is there twice`, where);
    if (offset % alignment !== 0) {
      throw tableError(
        "GGUF_OFFSETS",
        `tensor "${name}" begins at ${offset}, which is no multiple of the alignment ${alignment}`,
        where,
      );
    }
    if (offset < reached)
      throw tableError(
        "GGUF_OFFSETS",
        `tensor "${name}" begins at ${offset}, inside the tensor before it`,
        where,
      );
    reached = offset + byteLength;
    if (dataStart + reached > size) {
      const message = `tensor "${name}" ends at byte ${dataStart + reached}, but the file ends at ${size}`;
      throw tableError("GGUF_TRUNCATED", message, where, "the file is cut short: get it again");
    }
    tensors.set(name, { info: { name, shape, format, byteLength }, offset: dataStart + offset });
  }
  return tensors;
}

function toOffset(value: bigint, what: string, where: string): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw tableError("GGUF_TENSOR_SIZE", `${what} is ${value}, more than any file can hold`, where);
}

function tableError(
  code: string,
  message: string,
  where: string,
  fix = "the file is damaged: get it again",
): FormatError {
  return new FormatError({ code, message, fix, where });
}
