// A small GGUF writer for tests, which can also be told to lie.

/** Types of metadata values, as numbered in the format. */
export const valueTypes = { u8: 0, i8: 1, u16: 2, i16: 3, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10, i64: 11, f64: 12 } as const;

/** Bytes in little-endian order, put together call by call. */
export class ByteWriter {
  readonly #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  u32(value: number): this {
    return this.raw(new Uint8Array(Uint32Array.of(value).buffer));
  }

  f32(value: number): this {
    return this.raw(new Uint8Array(Float32Array.of(value).buffer));
  }

  u64(value: number | bigint): this {
    return this.raw(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  string(text: string, length?: number | bigint): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(length ?? bytes.length).raw(bytes);
  }

  pad(alignment: number): this {
    while (this.length % alignment !== 0) this.#bytes.push(0);
    return this;
  }

  done(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }
}

/** A metadata value to write. */
export type ValueToWrite = string | number | boolean | readonly string[] | readonly number[] | ((writer: ByteWriter) => void);

/** A tensor to write; `shape` slowest axis first. Every statement about it can be a lie. */
export interface GgufTensorToWrite {
  readonly name: string;
  readonly shape: readonly (number | bigint)[];
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly offset?: number | bigint;
}

/** What the file says; counts and version are right unless given. */
export interface GgufToWrite {
  readonly metadata: readonly (readonly [string, ValueToWrite])[];
  readonly tensors: readonly GgufTensorToWrite[];
  readonly version?: number;
  readonly magic?: string;
  readonly tensorCount?: bigint;
  readonly valueCount?: bigint;
  readonly alignment?: number;
}

/** A GGUF file. Numbers become f32 where they are fractions and u32 where not; lists i32 or strings. */
export function writeGguf(file: GgufToWrite): Uint8Array<ArrayBuffer> {
  const { metadata, tensors, alignment = 32 } = file;
  const writer = new ByteWriter().raw(new TextEncoder().encode(file.magic ?? "GGUF")).u32(file.version ?? 3);
  writer.u64(file.tensorCount ?? tensors.length).u64(file.valueCount ?? metadata.length);
  for (const [key, value] of metadata) {
    writer.string(key);
    writeValue(writer, value);
  }
  let offset = 0;
  for (const { name, shape, type, bytes, offset: stated } of tensors) {
    writer.string(name).u32(shape.length);
    for (const axis of shape.toReversed()) writer.u64(axis);
    writer.u32(type).u64(stated ?? offset);
    offset = Math.ceil((offset + bytes.length) / alignment) * alignment;
  }
  for (const { bytes } of tensors) writer.pad(alignment).raw(bytes);
  return writer.done();
}

function writeValue(writer: ByteWriter, value: ValueToWrite): void {
  if (typeof value === "function") value(writer);
  else if (typeof value === "string") writer.u32(valueTypes.string).string(value);
  else if (typeof value === "boolean") writer.u32(valueTypes.bool).raw([value ? 1 : 0]);
  else if (typeof value === "number") {
    if (Number.isInteger(value)) writer.u32(valueTypes.u32).u32(value);
    else writer.u32(valueTypes.f32).f32(value);
  } else {
    const strings = typeof value[0] === "string";
    writer.u32(valueTypes.array).u32(strings ? valueTypes.string : valueTypes.i32).u64(value.length);
    for (const item of value) {
      if (typeof item === "string") writer.string(item);
      else writer.u32(item >>> 0);
    }
  }
}

/** The bytes of f32 values. */
export function floatBytes(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}
