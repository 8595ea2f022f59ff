/** A value of a FlatBuffers table. */
export type FlatValue =
  | { readonly kind: "byte" | "int" | "long" | "short"; readonly value: number }
  | { readonly kind: "longs"; readonly items: readonly (readonly number[])[] }
  | { readonly kind: "table"; readonly fields: FlatFields }
  | { readonly kind: "tables"; readonly items: readonly FlatFields[] }
  | { readonly kind: "text"; readonly value: string };

/** A table's values by the number of their field; null where the default is meant. */
export type FlatFields = readonly (FlatValue | null)[];

const sizes = {
  byte: 1,
  short: 2,
  int: 4,
  long: 8,
  longs: 4,
  table: 4,
  tables: 4,
  text: 4,
} as const;

/**
 * A FlatBuffers buffer with this table as its root. Parents come before their children, so that offsets point forward; every scalar is aligned
 * to its size and the whole to 8 bytes.
 */
export function flatBuffer(root: FlatFields): Uint8Array<ArrayBuffer> {
  const builder = new FlatBuilder();
  builder.reserve(4);
  builder.point(0, builder.table(root));
  builder.align(8);
  return builder.bytes();
}

class FlatBuilder {
  #buffer = new Uint8Array(1024);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  /** Zeros at the end; returns where they start. */
  reserve(size: number): number {
    const start = this.#length;
    this.#length += size;
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#buffer);
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  /** Zeros until `shift` bytes after the end are a multiple of `size`. */
  align(size: number, shift = 0): void {
    while ((this.#length + shift) % size !== 0) this.reserve(1);
  }

  point(at: number, target: number): void {
    this.#view.setUint32(at, target - at, true);
  }

  /** Writes the table that says where fields are, the table, then what it points to. Returns where the table is. */
  table(fields: FlatFields): number {
    const present = fields.flatMap((value, field) => (value === null ? [] : [{ value, field }]));
    this.align(2);
    const layout = this.reserve(4 + 2 * fields.length);
    this.align(8);
    const start = this.reserve(4);
    this.#view.setInt32(start, start - layout, true);
    const places = present
      .toSorted((a, b) => sizes[b.value.kind] - sizes[a.value.kind])
      .map(({ value, field }) => {
        this.align(sizes[value.kind]);
        const at = this.reserve(sizes[value.kind]);
        this.#view.setUint16(layout + 4 + 2 * field, at - start, true);
        return { value, at };
      });
    this.#view.setUint16(layout, 4 + 2 * fields.length, true);
    this.#view.setUint16(layout + 2, this.#length - start, true);
    for (const { value, at } of places) this.#write(value, at);
    return start;
  }

  #write(value: FlatValue, at: number): void {
    switch (value.kind) {
      case "byte":
        this.#view.setUint8(at, value.value);
        return;
      case "short":
        this.#view.setInt16(at, value.value, true);
        return;
      case "int":
        this.#view.setInt32(at, value.value, true);
        return;
      case "long":
        this.#view.setBigInt64(at, BigInt(value.value), true);
        return;
      case "table":
        this.point(at, this.table(value.fields));
        return;
      case "text":
        this.point(at, this.#text(value.value));
        return;
      case "tables":
        this.point(at, this.#tables(value.items));
        return;
      case "longs":
        this.point(at, this.#longs(value.items));
    }
  }

  #text(text: string): number {
    const bytes = new TextEncoder().encode(text);
    this.align(4);
    const start = this.reserve(4 + bytes.length + 1);
    this.#view.setUint32(start, bytes.length, true);
    this.#buffer.set(bytes, start + 4);
    return start;
  }

  #tables(items: readonly FlatFields[]): number {
    this.align(4);
    const start = this.reserve(4 + 4 * items.length);
    this.#view.setUint32(start, items.length, true);
    for (const [index, item] of items.entries())
      this.point(start + 4 + 4 * index, this.table(item));
    return start;
  }

  #longs(items: readonly (readonly number[])[]): number {
    this.align(8, 4);
    const start = this.reserve(4);
    this.#view.setUint32(start, items.length, true);
    for (const value of items.flat()) {
      const at = this.reserve(8);
      this.#view.setBigInt64(at, BigInt(value), true);
    }
    return start;
  }
}
