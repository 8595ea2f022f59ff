import { FormatError } from "@latentkit/core";
import { z } from "zod";
import type { PlacedTensor } from "../file-store.ts";
import { blockLayout } from "../storage-format.ts";
import type { StorageFormat } from "../storage-format.ts";
import { findDuplicateKey } from "./duplicate-key.ts";

/** What the header of a safetensors file says, checked. */
export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
}

const formats = [
  "BOOL",
  "U8",
  "I8",
  "U16",
  "I16",
  "U32",
  "I32",
  "U64",
  "I64",
  "F8_E4M3",
  "F8_E5M2",
  "F16",
  "BF16",
  "F32",
  "F64",
] as const satisfies readonly StorageFormat[];

const wholeNumber = z
  .number()
  .refine(
    (value) => Number.isSafeInteger(value) && value >= 0,
    "must be a whole number from 0 to 2^53 - 1",
  );
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(wholeNumber),
  data_offsets: z.tuple([wholeNumber, wholeNumber]),
});

/**
 * Parses and checks a header as strictly as the reference implementation: known dtypes, sizes that follow from shape and dtype,
 * and tensors that cover the data from its first byte to its last without a hole or an overlap.
 */
export function parseSafetensorsHeader(
  header: Uint8Array,
  dataStart: number,
  dataLength: number,
  where: string,
): SafetensorsHeader {
  const json = parseJson(header, where);
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw headerError("the header is not a JSON object", where);
  const tensors = new Map<string, PlacedTensor>();
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") {
      metadata = parseMetadata(value, where);
    } else {
      tensors.set(name, parseTensor(name, value, dataStart, dataLength, where));
    }
  }
  checkCoverage(tensors, dataStart, dataLength, where);
  return { metadata, tensors };
}

function parseMetadata(value: unknown, where: string): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw metadataError(where);
  // Not by zod, which drops a key called __proto__.
  const entries = Object.entries(value).map(([key, text]: [string, unknown]) => {
    if (typeof text !== "string") throw metadataError(where);
    return [key, text] as const;
  });
  return Object.fromEntries(entries);
}

function metadataError(where: string): FormatError {
  return headerError("__metadata__ must map strings to strings", where);
}

function parseJson(header: Uint8Array, where: string): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
    const json: unknown = JSON.parse(text);
    const repeated = findDuplicateKey(text);
    if (repeated !== null) throw headerError(`the header has the key "${repeated}" twice`, where);
    return json;
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw headerError("the header is not valid JSON in UTF-8", where, cause);
  }
}

function parseTensor(
  name: string,
  value: unknown,
  dataStart: number,
  dataLength: number,
  where: string,
): PlacedTensor {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success)
    throw tensorError(name, z.prettifyError(parsed.error).replaceAll("\n", " "), where);
  const { dtype, shape, data_offsets } = parsed.data;
  const [begin, end] = data_offsets;
  const format = formats.find((known) => known === dtype);
  if (format === undefined)
    throw tensorError(name, `dtype "${dtype}" is not one of ${formats.join(", ")}`, where);
  let byteLength = blockLayout(format).bytes;
  for (const size of shape) byteLength *= size;
  if (!Number.isSafeInteger(byteLength))
    throw tensorError(name, `shape [${shape.join(", ")}] is more than any file can hold`, where);
  if (begin > end)
    throw offsetsError(
      `tensor "${name}" begins at ${begin} and ends before that, at ${end}`,
      where,
    );
  if (end > dataLength)
    throw offsetsError(
      `tensor "${name}" ends at ${end}, but there are ${dataLength} bytes of data`,
      where,
    );
  if (end - begin !== byteLength) {
    throw tensorError(
      name,
      `shape [${shape.join(", ")}] of ${dtype} takes ${byteLength} bytes, but its offsets span ${end - begin}`,
      where,
    );
  }
  return { info: { name, shape, format, byteLength }, offset: dataStart + begin };
}

function checkCoverage(
  tensors: ReadonlyMap<string, PlacedTensor>,
  dataStart: number,
  dataLength: number,
  where: string,
): void {
  const inOrder = [...tensors.values()].sort(
    (a, b) => a.offset - b.offset || a.info.byteLength - b.info.byteLength,
  );
  let reached = dataStart;
  for (const { info, offset } of inOrder) {
    if (offset !== reached) {
      const what =
        offset < reached
          ? "overlaps the tensor before it"
          : `leaves a hole of ${offset - reached} bytes before it`;
      throw offsetsError(
        `tensor "${info.name}" begins at ${offset - dataStart} and ${what}`,
        where,
      );
    }
    reached += info.byteLength;
  }
  if (reached !== dataStart + dataLength) {
    throw offsetsError(
      `the tensors take ${reached - dataStart} bytes, but there are ${dataLength} bytes of data`,
      where,
    );
  }
}

const again = "get the file again, or write it again with the program that made it";

function headerError(message: string, where: string, cause?: unknown): FormatError {
  return new FormatError({ code: "SAFETENSORS_HEADER", message, fix: again, where, cause });
}

function tensorError(name: string, message: string, where: string): FormatError {
  return new FormatError({
    code: "SAFETENSORS_TENSOR",
    message: `tensor "${name}": ${message}`,
    fix: again,
    where,
  });
}

function offsetsError(message: string, where: string): FormatError {
  return new FormatError({ code: "SAFETENSORS_OFFSETS", message, fix: again, where });
}
