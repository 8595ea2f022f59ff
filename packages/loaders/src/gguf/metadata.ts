import { FormatError } from "@latentkit/core";
import type { ByteCursor } from "./byte-cursor.ts";

/** A metadata value. 64-bit integers are bigint only where a number would not be exact. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** What a GGUF file says about its model, by key (`general.architecture`, `llama.block_count`, ...). */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

const arrayType = 9;
const maximumNesting = 8;

// Fewest bytes that a value of each type takes: a string has its length, an array its element type and count.
const leastBytes: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

/** Reads one value of the given type. */
export function readValue(
  cursor: ByteCursor,
  type: number,
  key: string,
  where: string,
  depth = 0,
): GgufValue {
  const what = `the value of "${key}"`;
  switch (type) {
    case 0:
      return cursor.u8(what);
    case 1:
      return cursor.i8(what);
    case 2:
      return cursor.u16(what);
    case 3:
      return cursor.i16(what);
    case 4:
      return cursor.u32(what);
    case 5:
      return cursor.i32(what);
    case 6:
      return cursor.f32(what);
    case 7:
      return readBoolean(cursor, key, where);
    case 8:
      return cursor.string(what);
    case arrayType:
      return readArray(cursor, key, where, depth);
    case 10:
      return exactNumber(cursor.u64(what));
    case 11:
      return exactNumber(cursor.i64(what));
    case 12:
      return cursor.f64(what);
    default:
      throw new FormatError({
        code: "GGUF_VALUE_TYPE",
        message: `"${key}" has a value of type ${type}; GGUF knows types 0 to 12`,
        fix: "the file is damaged or newer than this reader: get it again or update",
        where,
      });
  }
}

function readBoolean(cursor: ByteCursor, key: string, where: string): boolean {
  const byte = cursor.u8(`the value of "${key}"`);
  if (byte <= 1) return byte === 1;
  throw new FormatError({
    code: "GGUF_BOOLEAN",
    message: `"${key}" is a boolean of value ${byte}; 0 or 1 was expected`,
    fix: "the file is damaged: get it again",
    where,
  });
}

function readArray(
  cursor: ByteCursor,
  key: string,
  where: string,
  depth: number,
): readonly GgufValue[] {
  const type = cursor.u32(`the element type of "${key}"`);
  const count = cursor.count(`the element count of "${key}"`, leastBytes[type] ?? 1);
  if (depth >= maximumNesting) {
    throw new FormatError({
      code: "GGUF_NESTING",
      message: `"${key}" holds arrays in arrays, deeper than ${maximumNesting}`,
      fix: "the file is damaged: get it again",
      where,
    });
  }
  const values: GgufValue[] = [];
  for (let i = 0; i < count; i++) values.push(readValue(cursor, type, key, where, depth + 1));
  return values;
}

function exactNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
