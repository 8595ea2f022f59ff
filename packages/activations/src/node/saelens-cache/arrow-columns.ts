import { FormatError, fromF16Bits } from "@latentkit/core";
import type { ArrowField } from "./arrow-schema.ts";
import type { FlatTable } from "./flat-table.ts";

/** One column of a record batch: numbers in rows of one shape. */
export interface ArrowColumn {
  /** Sizes of the lists inside each other, `[d0, d1]` for rows of d0 lists of d1 numbers. */
  readonly shape: readonly number[];
  /** Of all rows, one after another. Floats of any width as f32, integers as i32. */
  readonly values: Float32Array | Int32Array;
}

/**
 * Columns of a record batch, those that are `wanted`. Only lists of numbers without nulls, all of one size, are read.
 *
 * @param batch the RecordBatch table
 * @throws FormatError `ARROW_UNSUPPORTED`, `ARROW_BROKEN`
 */
export function readColumns(
  batch: FlatTable,
  body: Uint8Array<ArrayBuffer>,
  fields: readonly ArrowField[],
  wanted: ReadonlySet<string>,
  where: string,
): Map<string, ArrowColumn> {
  if (batch.has(3)) throw unsupported("buffers are compressed", where);
  const cursor = new BatchCursor(batch, body, where);
  const rows = batch.long(0);
  const found = new Map<string, ArrowColumn>();
  for (const field of fields) {
    if (!wanted.has(field.name)) {
      cursor.skip(field);
      continue;
    }
    const column = cursor.column(field);
    const each = column.shape.reduce((product, size) => product * size, 1);
    if (column.values.length !== rows * each)
      throw broken(`${field.name} has ${column.values.length} numbers for ${rows} rows`, where);
    found.set(field.name, column);
  }
  return found;
}

/** Goes over the nodes and buffers of a batch, which lie in the order of the fields, parents before their children. */
class BatchCursor {
  readonly #nodes: readonly (readonly number[])[];
  readonly #buffers: readonly (readonly number[])[];
  readonly #body: Uint8Array<ArrayBuffer>;
  readonly #where: string;
  #node = 0;
  #buffer = 0;

  constructor(batch: FlatTable, body: Uint8Array<ArrayBuffer>, where: string) {
    this.#nodes = batch.longs(1, 2);
    this.#buffers = batch.longs(2, 2);
    this.#body = body;
    this.#where = where;
  }

  /** Passes over a field. */
  skip(field: ArrowField): void {
    const { kind } = field.type;
    if (kind === "other") throw this.#unsupported(field);
    this.#node += 1;
    this.#buffer += kind === "fixed-size-list" ? 1 : 2;
    for (const child of field.children) this.skip(child);
  }

  column(field: ArrowField): ArrowColumn {
    const { type } = field;
    const [length = 0, nulls = 0] = this.#nodes[this.#node++] ?? [];
    if (nulls !== 0) throw unsupported(`${field.name} has ${nulls} nulls`, this.#where);
    // Which entries are there: all of them.
    this.#next();
    if (type.kind === "int" || type.kind === "float")
      return { shape: [], values: this.#numbers(field, length) };
    const [item] = field.children;
    if (item === undefined || type.kind === "other") throw this.#unsupported(field);
    const size =
      type.kind === "fixed-size-list"
        ? type.size
        : this.#listSize(field, length, type.kind === "list" ? 4 : 8);
    const items = this.column(item);
    const each = items.shape.reduce((product, one) => product * one, 1);
    if (items.values.length < length * size * each)
      throw broken(`${field.name} has too few items`, this.#where);
    return {
      shape: [size, ...items.shape],
      values: items.values.subarray(0, length * size * each),
    };
  }

  /** The one size of all lists, from their offsets. */
  #listSize(field: ArrowField, length: number, bytes: 4 | 8): number {
    const buffer = this.#next();
    if (length === 0) return 0;
    if (buffer.byteLength < (length + 1) * bytes)
      throw broken(`${field.name} has too few offsets`, this.#where);
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const at = (index: number) =>
      bytes === 4 ? view.getInt32(4 * index, true) : Number(view.getBigInt64(8 * index, true));
    const size = at(1);
    for (let index = 0; index <= length; index++) {
      if (at(index) !== index * size)
        throw unsupported(`lists of ${field.name} differ in size`, this.#where);
    }
    return size;
  }

  #numbers(field: ArrowField, length: number): Float32Array | Int32Array {
    const buffer = this.#next();
    const { type } = field;
    const bits = type.kind === "int" || type.kind === "float" ? type.bits : 0;
    if (buffer.byteLength < (length * bits) / 8)
      throw broken(
        `${field.name} has ${buffer.byteLength} bytes for ${length} numbers`,
        this.#where,
      );
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    if (type.kind === "float") {
      const read = {
        16: (index: number) => fromF16Bits(view.getUint16(2 * index, true)),
        32: (index: number) => view.getFloat32(4 * index, true),
        64: (index: number) => view.getFloat64(8 * index, true),
      }[type.bits];
      return Float32Array.from({ length }, (_, index) => read(index));
    }
    if (type.kind === "int" && (bits === 32 || bits === 64)) {
      return Int32Array.from({ length }, (_, index) =>
        bits === 32 ? view.getInt32(4 * index, true) : Number(view.getBigInt64(8 * index, true)),
      );
    }
    throw this.#unsupported(field);
  }

  #next(): Uint8Array<ArrayBuffer> {
    const [offset = 0, length = 0] = this.#buffers[this.#buffer++] ?? [];
    if (offset < 0 || length < 0 || offset + length > this.#body.byteLength)
      throw broken(`a buffer of ${length} bytes at ${offset} is outside of its batch`, this.#where);
    return this.#body.subarray(offset, offset + length);
  }

  #unsupported({ name, type }: ArrowField): FormatError {
    const what = type.kind === "other" ? `type ${type.number}` : type.kind;
    return unsupported(`${name} is of ${what}`, this.#where);
  }
}

function unsupported(what: string, where: string): FormatError {
  return new FormatError({
    code: "ARROW_UNSUPPORTED",
    message: `${what}, and activation caches hold lists of numbers of one size`,
    fix: "write the cache anew with SAELens's CacheActivationsRunner, or with writeSaeLensCache",
    where,
  });
}

/** Bytes that are no Arrow stream. */
export function broken(what: string, where: string, cause?: unknown): FormatError {
  return new FormatError({
    code: "ARROW_BROKEN",
    message: `this is no whole Arrow stream: ${what}`,
    fix: "the file is cut short or not what it says: write or get it again",
    where,
    cause,
  });
}
