import { LatentkitError } from "@latentkit/core";
import type { ByteSource } from "@latentkit/loaders";
import { broken, type ArrowColumn, readColumns } from "./arrow-columns.ts";
import { type ArrowField, arrowNumbers, readFields, schemaTable } from "./arrow-schema.ts";
import { flatBuffer, type FlatFields } from "./flat-builder.ts";
import { FlatTable } from "./flat-table.ts";

/** Rows of some columns. */
export interface ArrowBatch {
  readonly rows: number;
  readonly columns: ReadonlyMap<string, ArrowColumn>;
}

/** An Arrow IPC stream that is read batch by batch. */
export interface ArrowStream {
  readonly fields: readonly ArrowField[];
  /** The wanted columns, from the first batch on. */
  batches(
    wanted: ReadonlySet<string>,
    signal?: AbortSignal,
  ): AsyncGenerator<ArrowBatch, void, undefined>;
}

interface Message {
  readonly kind: number;
  readonly header: FlatTable;
  /** Where its body starts, and its bytes. */
  readonly body: number;
  readonly bodyLength: number;
}

const continuation = 0xffffffff;

/**
 * Opens an Arrow IPC stream (Arrow columnar format, "IPC streaming format"), as `datasets` keeps tables on disk: a schema, then record
 * batches. Reads the schema now and one batch at a time later.
 *
 * @throws FormatError `ARROW_BROKEN`
 */
export async function openArrowStream(source: ByteSource): Promise<ArrowStream> {
  const first = await readMessage(source, 0);
  if (first === null || first.kind !== arrowNumbers.schema)
    throw broken("it does not start with a schema", source.name);
  const fields = guarded(source.name, () => readFields(first.header));
  return {
    fields,
    async *batches(wanted, signal) {
      let at = first.body + first.bodyLength;
      for (;;) {
        // eslint-disable-next-line no-await-in-loop -- a batch at a time
        const message = await readMessage(source, at, signal);
        if (message === null) return;
        at = message.body + message.bodyLength;
        if (message.kind !== arrowNumbers.recordBatch)
          throw broken(`a message of kind ${message.kind} among its batches`, source.name);
        // eslint-disable-next-line no-await-in-loop -- likewise
        const body = await source.read(message.body, message.bodyLength, signal);
        yield guarded(source.name, () => ({
          rows: message.header.long(0),
          columns: readColumns(message.header, body, fields, wanted, source.name),
        }));
      }
    },
  };
}

/** The message at a place; null at the end of the stream. */
async function readMessage(
  source: ByteSource,
  at: number,
  signal?: AbortSignal,
): Promise<Message | null> {
  if (at === source.size) return null;
  const words = await source.read(at, 8, signal);
  const view = new DataView(words.buffer, words.byteOffset, 8);
  if (view.getUint32(0, true) !== continuation)
    throw broken(`no message starts at byte ${at}`, source.name);
  const length = view.getInt32(4, true);
  if (length === 0) return null;
  const bytes = await source.read(at + 8, length, signal);
  return guarded(source.name, () => {
    const table = FlatTable.root(bytes);
    const header = table.table(2);
    if (header === null) throw broken("a message has no header", source.name);
    const bodyLength = table.long(3);
    return { kind: table.byte(1), header, body: at + 8 + length, bodyLength };
  });
}

/** Reads tables; their bounds are checked as they are read. */
function guarded<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (LatentkitError.isInstance(error)) throw error;
    throw broken("an offset points outside of it", where, error);
  }
}

/** The first message of a stream. */
export function schemaMessage(
  fields: readonly ArrowField[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  return frame(arrowNumbers.schema, schemaTable(fields, metadata), 0);
}

/** A batch: what stands before its buffers, and these, each padded to 8 bytes. `nodes` are lengths, in the order of the fields. */
export function batchMessage(
  rows: number,
  nodes: readonly number[],
  buffers: readonly Uint8Array<ArrayBuffer>[],
): Uint8Array<ArrayBuffer>[] {
  let offset = 0;
  const places = buffers.map(({ byteLength }) => {
    const place = [offset, byteLength];
    offset += padded(byteLength);
    return place;
  });
  const header: FlatFields = [
    { kind: "long", value: rows },
    { kind: "longs", items: nodes.map((length) => [length, 0]) },
    { kind: "longs", items: places },
  ];
  const padding = buffers.map(({ byteLength }) => new Uint8Array(padded(byteLength) - byteLength));
  return [
    frame(arrowNumbers.recordBatch, header, offset),
    ...buffers.flatMap((buffer, index) => [buffer, padding[index] ?? new Uint8Array(0)]),
  ];
}

/** What ends a stream. */
export function endOfStream(): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);
}

function frame(kind: number, header: FlatFields, bodyLength: number): Uint8Array<ArrayBuffer> {
  const table = flatBuffer([
    { kind: "short", value: arrowNumbers.version5 },
    { kind: "byte", value: kind },
    { kind: "table", fields: header },
    { kind: "long", value: bodyLength },
  ]);
  const bytes = new Uint8Array(8 + table.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, continuation, true);
  view.setInt32(4, table.byteLength, true);
  bytes.set(table, 8);
  return bytes;
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}
