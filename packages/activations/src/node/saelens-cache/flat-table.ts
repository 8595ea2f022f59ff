/**
 * A table of a FlatBuffers buffer, read in place. Fields go by their number in the schema; one that is absent has the default that the
 * schema gives it, which the caller knows. Reads outside of the buffer throw RangeError, as `DataView` does.
 */
export class FlatTable {
  readonly #view: DataView;
  readonly #at: number;
  readonly #fields: number;
  readonly #size: number;

  constructor(view: DataView, at: number) {
    this.#view = view;
    this.#at = at;
    this.#fields = at - view.getInt32(at, true);
    this.#size = view.getUint16(this.#fields, true);
  }

  /** The table that a buffer's first word points to. */
  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new FlatTable(view, view.getUint32(0, true));
  }

  byte(field: number): number {
    const at = this.#find(field);
    return at === null ? 0 : this.#view.getUint8(at);
  }

  short(field: number): number {
    const at = this.#find(field);
    return at === null ? 0 : this.#view.getInt16(at, true);
  }

  int(field: number): number {
    const at = this.#find(field);
    return at === null ? 0 : this.#view.getInt32(at, true);
  }

  /** A 64-bit integer; those above 2^53, which no file of ours has, lose digits. */
  long(field: number): number {
    const at = this.#find(field);
    return at === null ? 0 : Number(this.#view.getBigInt64(at, true));
  }

  /** Whether an optional field is there. */
  has(field: number): boolean {
    return this.#find(field) !== null;
  }

  table(field: number): FlatTable | null {
    const at = this.#find(field);
    return at === null ? null : new FlatTable(this.#view, this.#pointed(at));
  }

  text(field: number): string {
    const at = this.#find(field);
    if (at === null) return "";
    const start = this.#pointed(at);
    const length = this.#view.getUint32(start, true);
    // Reads the byte after the text, so that a length beyond the buffer throws.
    this.#view.getUint8(start + 4 + length);
    const { buffer, byteOffset } = this.#view;
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset + start + 4, length));
  }

  tables(field: number): FlatTable[] {
    return this.#vector(field, 4, (at) => new FlatTable(this.#view, this.#pointed(at)));
  }

  /** A vector of structs of `width` 64-bit integers each. */
  longs(field: number, width: number): number[][] {
    return this.#vector(field, 8 * width, (at) =>
      Array.from({ length: width }, (_, index) =>
        Number(this.#view.getBigInt64(at + 8 * index, true)),
      ),
    );
  }

  #vector<Item>(field: number, size: number, read: (at: number) => Item): Item[] {
    const at = this.#find(field);
    if (at === null) return [];
    const start = this.#pointed(at);
    const count = this.#view.getUint32(start, true);
    // A count beyond the buffer must throw before it is believed.
    if (count > 0) this.#view.getUint8(start + 4 + count * size - 1);
    return Array.from({ length: count }, (_, index) => read(start + 4 + index * size));
  }

  #find(field: number): number | null {
    const entry = 4 + 2 * field;
    if (entry + 2 > this.#size) return null;
    const offset = this.#view.getUint16(this.#fields + entry, true);
    return offset === 0 ? null : this.#at + offset;
  }

  #pointed(at: number): number {
    return at + this.#view.getUint32(at, true);
  }
}
