import { FormatError, throwIfAborted } from "@latentkit/core";
import { crc32 } from "./crc32.ts";
import { inflate } from "./inflate.ts";
import { fixedSize, inZip64, method, signature, zip64Tag } from "./zip-layout.ts";

/** What an archive's directory says of a file, checked against the archive's size. */
interface Entry {
  readonly name: string;
  readonly method: number;
  readonly checksum: number;
  readonly packedSize: number;
  readonly size: number;
  /** Of the local header. */
  readonly offset: number;
}

/** An archive's bytes and what messages call it. */
interface Archive {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly where: string;
}

/** A comment behind the last record may be as long as 16 bits count. */
const longestComment = 0xffff;
/** deflate packs no better than 1032 to 1, so that a size beyond that is a lie. */
const bestRatio = 1032;

/**
 * The files of a zip archive, stored or deflated, zip64 included. Each is checked against its size and checksum. Names are only keys:
 * nothing is written anywhere.
 *
 * Throws {@link FormatError} `NPZ_ARCHIVE`.
 */
export async function readZip(
  bytes: Uint8Array<ArrayBuffer>,
  where: string,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const archive: Archive = { bytes, view, where };
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  let packed = 0;
  for (const entry of readDirectory(archive)) {
    throwIfAborted(signal);
    if (files.has(entry.name)) throw damaged(`"${entry.name}" is in it twice`, where);
    files.set(entry.name, await readEntry(archive, entry));
    // Or a small archive could unpack the same bytes under thousands of names.
    packed += entry.packedSize;
    if (packed > bytes.length) throw damaged("its files overlap", where);
  }
  return files;
}

function readDirectory(archive: Archive): Entry[] {
  const { view, where } = archive;
  const end = findEnd(archive);
  let count = view.getUint16(end + 10, true);
  let length = view.getUint32(end + 12, true);
  let start = view.getUint32(end + 16, true);
  if (count === inZip64.short || length === inZip64.long || start === inZip64.long) {
    const locator = end - fixedSize.locator64;
    expectRecord(archive, locator, "locator64");
    const end64 = whole(view, locator + 8, where);
    expectRecord(archive, end64, "end64");
    count = whole(view, end64 + 32, where);
    length = whole(view, end64 + 40, where);
    start = whole(view, end64 + 48, where);
  }
  if (start + length > end)
    throw damaged(`its directory of ${length} bytes at ${start} does not fit`, where);
  const entries: Entry[] = [];
  let at = start;
  for (let index = 0; index < count; index++) {
    expectRecord(archive, at, "central");
    const [nameLength, extraLength, commentLength] = [
      view.getUint16(at + 28, true),
      view.getUint16(at + 30, true),
      view.getUint16(at + 32, true),
    ];
    const next = at + fixedSize.central + nameLength + extraLength + commentLength;
    if (next > start + length) throw damaged("an entry of its directory runs over the end", where);
    entries.push(readDirectoryEntry(archive, at, nameLength, extraLength));
    at = next;
  }
  return entries;
}

function readDirectoryEntry(
  { bytes, view, where }: Archive,
  at: number,
  nameLength: number,
  extraLength: number,
): Entry {
  const nameStart = at + fixedSize.central;
  const name = new TextDecoder().decode(bytes.subarray(nameStart, nameStart + nameLength));
  if ((view.getUint16(at + 8, true) & 1) === 1) throw damaged(`"${name}" is encrypted`, where);
  const packing = view.getUint16(at + 10, true);
  if (packing !== method.stored && packing !== method.deflated)
    throw damaged(
      `"${name}" is packed by method ${packing}; stored and deflated can be read`,
      where,
    );
  // Numbers too large for their field come from the extra field, in this order, and only those.
  const long = zip64Numbers(view, nameStart + nameLength, extraLength, where);
  const number = (field: number): number => {
    const value = view.getUint32(field, true);
    if (value !== inZip64.long) return value;
    const wide = long.shift();
    if (wide === undefined) throw damaged(`"${name}" lacks a size in 64 bits`, where);
    return wide;
  };
  const size = number(at + 24);
  const packedSize = number(at + 20);
  const offset = number(at + 42);
  return {
    name,
    method: packing,
    checksum: view.getUint32(at + 16, true),
    packedSize,
    size,
    offset,
  };
}

/** The numbers of the zip64 extra field, if there is one. */
function zip64Numbers(view: DataView, start: number, length: number, where: string): number[] {
  const end = start + length;
  for (let at = start; at + 4 <= end;) {
    const fieldLength = view.getUint16(at + 2, true);
    if (at + 4 + fieldLength > end) break;
    if (view.getUint16(at, true) === zip64Tag) {
      const numbers = Math.floor(fieldLength / 8);
      return Array.from({ length: numbers }, (_, index) => whole(view, at + 4 + 8 * index, where));
    }
    at += 4 + fieldLength;
  }
  return [];
}

async function readEntry(archive: Archive, entry: Entry): Promise<Uint8Array<ArrayBuffer>> {
  const { bytes, view, where } = archive;
  const { name, offset, packedSize, size, checksum } = entry;
  expectRecord(archive, offset, "local");
  // The local header's own name and extra field may be longer than those of the directory.
  const start =
    offset +
    fixedSize.local +
    view.getUint16(offset + 26, true) +
    view.getUint16(offset + 28, true);
  if (start + packedSize > bytes.length)
    throw damaged(
      `"${name}" takes ${packedSize} bytes from ${start}, but it ends at ${bytes.length}`,
      where,
    );
  const packed = bytes.subarray(start, start + packedSize);
  let content: Uint8Array<ArrayBuffer> | null;
  if (entry.method === method.stored) {
    content = packed;
  } else {
    if (size > bestRatio * packedSize)
      throw damaged(
        `"${name}" says to hold ${size} bytes, more than can be in ${packedSize}`,
        where,
      );
    content = await inflate(packed, size);
  }
  if (content === null || content.length !== size || crc32(content) !== checksum)
    throw damaged(`the bytes of "${name}" are not those that were put in`, where);
  return content;
}

/** Where the record at the end begins: the last place whose comment reaches exactly to the end of the file. */
function findEnd({ view, where }: Archive): number {
  const last = view.byteLength - fixedSize.end;
  for (let at = last; at >= Math.max(0, last - longestComment); at--) {
    if (view.getUint32(at, true) === signature.end && at + view.getUint16(at + 20, true) === last)
      return at;
  }
  throw damaged("it has no directory at its end: it is cut short, or no zip archive", where);
}

function expectRecord({ view, where }: Archive, at: number, kind: keyof typeof signature): void {
  const inside = at >= 0 && at + fixedSize[kind] <= view.byteLength;
  if (inside && view.getUint32(at, true) === signature[kind]) return;
  throw damaged(`there is no ${kind} record at byte ${at}`, where);
}

/** A 64-bit number that a position in a file can be. */
function whole(view: DataView, at: number, where: string): number {
  const value = Number(view.getBigUint64(at, true));
  if (Number.isSafeInteger(value)) return value;
  throw damaged(`it names byte ${value}, which no file has`, where);
}

function damaged(message: string, where: string): FormatError {
  return new FormatError({
    code: "NPZ_ARCHIVE",
    message: `the archive cannot be read: ${message}`,
    fix: "get the file again, or write it with numpy.savez",
    where,
  });
}
