// Reads the data of an R package without R: a "lazy-load" database is an index (NAME.rdx, a serialised list, compressed as a
// whole) and blocks (NAME.rdb, one for each variable). R documents the formats in "R Internals", chapter 1.8, and in the sources
// of `serialize.c` and `makeLazyLoad.R`.
import { gunzipSync, inflateSync } from "node:zlib";

/**
 * What the reader gives: vectors as arrays (NA and NULL as null), lists and pairlists as `RList`.
 *
 * @typedef {null | string | (string | null)[] | (number | null)[] | RList} RValue
 * @typedef {{ names: (string | null)[], values: RValue[] }} RList
 */

const kinds = {
  symbol: 1,
  pairlist: 2,
  characters: 9,
  logicals: 10,
  integers: 13,
  reals: 14,
  strings: 16,
  list: 19,
  nil: 254,
  reference: 255,
};
const missingInteger = -(2 ** 31);

/** The file's bytes are not what the format promises. */
export class RDataError extends Error {}

/**
 * Reads one value in R's XDR serialisation (`X\n`, versions 2 and 3).
 *
 * @param {Uint8Array} bytes
 * @returns {RValue}
 */
export function readSerialized(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  /** @type {RValue[]} */
  const references = [];

  if (bytes[0] !== 0x58 || bytes[1] !== 0x0a)
    throw new RDataError("expected the mark X of R's binary serialisation at the beginning");
  position = 2;
  const version = integer();
  if (version !== 2 && version !== 3)
    throw new RDataError(`serialisation version ${version}; versions 2 and 3 are known`);
  integer(); // the R that wrote it
  integer(); // the oldest R that can read it
  if (version === 3) text(integer()); // the encoding of strings without a mark
  const whole = item();
  if (position !== bytes.length)
    throw new RDataError(`${bytes.length - position} bytes follow the serialised value`);
  return whole;

  /** @returns {RValue} */
  function item() {
    const flags = integer();
    const kind = flags & 0xff;
    const hasAttributes = (flags & 0x200) !== 0;
    switch (kind) {
      case kinds.nil:
        return null;
      case kinds.reference:
        return references[(flags >>> 8 || integer()) - 1] ?? null;
      case kinds.symbol: {
        const name = item();
        references.push(name);
        return name;
      }
      case kinds.characters: {
        const size = integer();
        return size === -1 ? null : text(size);
      }
      case kinds.pairlist:
        return pairlist(flags);
      case kinds.logicals:
      case kinds.integers:
        return withAttributes(hasAttributes, repeat(4, integerOrMissing));
      case kinds.reals:
        return withAttributes(hasAttributes, repeat(8, real));
      case kinds.strings:
        return withAttributes(hasAttributes, repeat(8, string));
      case kinds.list: {
        const values = repeat(4, item);
        const attributes = hasAttributes ? item() : null;
        return { names: namesIn(attributes), values };
      }
      default:
        throw new RDataError(
          `R type ${kind} before byte ${position}; only vectors and lists are read`,
        );
    }
  }

  /** @param {number} firstFlags @returns {RList} */
  function pairlist(firstFlags) {
    /** @type {RList} */
    const list = { names: [], values: [] };
    // The chain is walked in a loop: long pairlists would overflow the stack.
    for (let flags = firstFlags; (flags & 0xff) !== kinds.nil; flags = integer()) {
      if ((flags & 0xff) !== kinds.pairlist)
        throw new RDataError(`R type ${flags & 0xff} inside a pairlist`);
      if (flags & 0x200) item();
      const tag = flags & 0x400 ? item() : null;
      list.names.push(typeof tag === "string" ? tag : null);
      list.values.push(item());
    }
    return list;
  }

  /** @template T @param {boolean} present @param {T} vector @returns {T} */
  function withAttributes(present, vector) {
    if (present) item();
    return vector;
  }

  /**
   * @template T
   * @param {number} leastBytes of one element, so that a broken count fails at once
   * @param {() => T} read
   * @returns {T[]}
   */
  function repeat(leastBytes, read) {
    const count = integer();
    if (count < 0 || count * leastBytes > bytes.length - position)
      throw new RDataError(`a vector of ${count} elements at byte ${position} passes the end`);
    return Array.from({ length: count }, read);
  }

  function string() {
    const value = item();
    if (value !== null && typeof value !== "string")
      throw new RDataError(`a character vector holds something else before byte ${position}`);
    return value;
  }

  function integer() {
    need(4);
    const value = view.getInt32(position);
    position += 4;
    return value;
  }

  function integerOrMissing() {
    const value = integer();
    return value === missingInteger ? null : value;
  }

  function real() {
    need(8);
    const value = view.getFloat64(position);
    position += 8;
    return value;
  }

  /** @param {number} size */
  function text(size) {
    need(size);
    const part = bytes.subarray(position, position + size);
    position += size;
    return new TextDecoder("utf-8").decode(part);
  }

  /** @param {number} size */
  function need(size) {
    if (size < 0 || position + size > bytes.length)
      throw new RDataError(
        `the data end at byte ${bytes.length}, and ${size} more from byte ${position} were expected`,
      );
  }
}

/**
 * The variables of a lazy-load database.
 *
 * @param {Uint8Array} index the bytes of the .rdx file
 * @param {Uint8Array} blocks the bytes of the .rdb file
 * @returns {Map<string, RValue>}
 */
export function readLazyLoad(index, blocks) {
  const list = readSerialized(unpack(() => gunzipSync(index), "the index"));
  const variables = field(list, "variables");
  if (!isList(variables)) throw new RDataError("the index has no list of variables");
  const compressed = field(list, "compressed");
  const method = Array.isArray(compressed) ? compressed[0] : 1;
  /** @type {Map<string, RValue>} */
  const found = new Map();
  for (const [place, name] of variables.names.entries()) {
    const range = variables.values[place];
    const [offset, length] = Array.isArray(range) ? range : [];
    if (name === null || typeof offset !== "number" || typeof length !== "number")
      throw new RDataError(`the index has no place for variable ${place}`);
    if (offset < 0 || length < 4 || offset + length > blocks.length)
      throw new RDataError(`${name} is at bytes ${offset} + ${length} of ${blocks.length}`);
    found.set(name, readSerialized(block(blocks.subarray(offset, offset + length), method, name)));
  }
  return found;
}

/**
 * A block is the size of its content (4 bytes, big-endian) and the content: zlib for method 1; for methods 2 and 3 a letter says
 * how it is compressed.
 *
 * @param {Uint8Array} bytes
 * @param {unknown} method
 * @param {string} name
 */
function block(bytes, method, name) {
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const content = unpackBlock(bytes, method, name);
  if (content.length !== size)
    throw new RDataError(`${name} holds ${content.length} bytes, and ${size} were promised`);
  return content;
}

/** @param {Uint8Array} bytes @param {unknown} method @param {string} name */
function unpackBlock(bytes, method, name) {
  if (method === 0) return bytes.subarray(4);
  if (method === 2 || method === 3) {
    const letter = String.fromCharCode(bytes[4] ?? 0);
    if (letter === "0") return bytes.subarray(5);
    throw new RDataError(`${name} is compressed by method "${letter}"; zlib alone is read`);
  }
  return unpack(() => inflateSync(bytes.subarray(4)), name);
}

/** @param {() => Uint8Array} read @param {string} what */
function unpack(read, what) {
  try {
    return read();
  } catch (error) {
    throw new RDataError(`${what} does not unpack`, { cause: error });
  }
}

/** @param {RValue} value @returns {value is RList} */
function isList(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {RValue} value @param {string} name @returns {RValue} */
function field(value, name) {
  if (!isList(value)) return null;
  return value.values[value.names.indexOf(name)] ?? null;
}

/** @param {RValue} attributes @returns {(string | null)[]} */
function namesIn(attributes) {
  const names = field(attributes, "names");
  return Array.isArray(names) ? names.map((name) => (typeof name === "string" ? name : null)) : [];
}
