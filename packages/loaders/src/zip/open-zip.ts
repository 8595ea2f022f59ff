import type { ByteSource } from "../byte-source.ts";
import type { FormatError } from "@latentkit/core";
import { throwIfAborted } from "@latentkit/core";
import { crc32 } from "./crc32.ts";
import { inflate } from "./inflate.ts";
import { fixedSize, inZip64, method, signature, zip64Tag } from "./zip-layout.ts";

/** What an archive's directory says of a file, checked against the archive's size. */
export interface ZipEntry {
  readonly name: string;
  /** How it is packed: see `method`. */
  readonly method: number;
  readonly checksum: number;
  readonly packedSize: number;
  readonly size: number;
  /** Of the local header. */
  readonly offset: number;
}

/** An archive whose directory has been read. Names are only keys: nothing is written anywhere. */
export interface ZipArchive {
  /** By name, in the directory's order. */
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** Where the packed bytes of an entry begin in the source. */
  start(entry: ZipEntry, signal?: AbortSignal): Promise<number>;
  /** An entry's content, checked against its size and checksum. */
  read(entry: ZipEntry, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

/** What a reader's format says of an archive that cannot be read. */
export type ZipFault = (message: string) => FormatError;

/** A comment behind the last record may be as long as 16 bits count. */
const longestComment = 0xffff;
/** deflate packs no better than 1032 to 1, so that a size beyond that is a lie. */
const bestRatio = 1032;

/**
 * Opens a zip archive, stored or deflated, zip64 included: reads the directory at its end, and files when asked for.
 *
 * Throws what `fault` makes of the messages.
 */
export async function openZip(
  source: ByteSource,
  fault: ZipFault,
  signal?: AbortSignal,
): Promise<ZipArchive> {
  const entries = new Map<string, ZipEntry>();
  let packed = 0;
  for (const entry of await readDirectory(source, fault, signal)) {
    if (entries.has(entry.name)) throw fault(`"${entry.name}" is in it twice`);
    entries.set(entry.name, entry);
    if (entry.packedSize > source.size)
      throw fault(
        `"${entry.name}" takes ${entry.packedSize} bytes, but the archive has ${source.size}`,
      );
    // Or a small archive could unpack the same bytes under thousands of names.
    packed += entry.packedSize;
    if (packed > source.size) throw fault("its files overlap");
  }
  const start = (entry: ZipEntry, abort = signal): Promise<number> =>
    startOf(source, entry, fault, abort);
  return {
    entries,
    start,
    async read(entry, abort = signal) {
      throwIfAborted(abort);
      const from = await start(entry, abort);
      return unpacked(await source.read(from, entry.packedSize, abort), entry, fault);
    },
  };
}

async function readDirectory(
  source: ByteSource,
  fault: ZipFault,
  signal?: AbortSignal,
): Promise<ZipEntry[]> {
  const { size } = source;
  const tailLength = Math.min(size, fixedSize.end + longestComment + fixedSize.locator64);
  const tailStart = size - tailLength;
  const tail = viewOf(await source.read(tailStart, tailLength, signal));
  const end = findEnd(tail, fault);
  let count = tail.getUint16(end + 10, true);
  let length = tail.getUint32(end + 12, true);
  let start = tail.getUint32(end + 16, true);
  if (count === inZip64.short || length === inZip64.long || start === inZip64.long) {
    const locator = end - fixedSize.locator64;
    expectRecord(tail, locator, "locator64", fault, tailStart);
    const at = whole(tail, locator + 8, fault);
    const end64 = viewOf(await readAt(source, at, fixedSize.end64, signal));
    expectRecord(end64, 0, "end64", fault, at);
    count = whole(end64, 32, fault);
    length = whole(end64, 40, fault);
    start = whole(end64, 48, fault);
  }
  if (start + length > tailStart + end)
    throw fault(`its directory of ${length} bytes at ${start} does not fit`);
  const bytes = await source.read(start, length, signal);
  const view = viewOf(bytes);
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    expectRecord(view, at, "central", fault, start);
    const [nameLength, extraLength, commentLength] = [
      view.getUint16(at + 28, true),
      view.getUint16(at + 30, true),
      view.getUint16(at + 32, true),
    ];
    const next = at + fixedSize.central + nameLength + extraLength + commentLength;
    if (next > length) throw fault("an entry of its directory runs over the end");
    const nameStart = at + fixedSize.central;
    const name = new TextDecoder().decode(bytes.subarray(nameStart, nameStart + nameLength));
    entries.push(readEntry(view, at, name, [nameStart + nameLength, extraLength], fault));
    at = next;
  }
  return entries;
}

function readEntry(
  view: DataView,
  at: number,
  name: string,
  extra: readonly [start: number, length: number],
  fault: ZipFault,
): ZipEntry {
  if ((view.getUint16(at + 8, true) & 1) === 1) throw fault(`"${name}" is encrypted`);
  const packing = view.getUint16(at + 10, true);
  if (packing !== method.stored && packing !== method.deflated)
    throw fault(`"${name}" is packed by method ${packing}; stored and deflated can be read`);
  // Numbers too large for their field come from the extra field, in this order, and only those.
  const long = zip64Numbers(view, extra, fault);
  const number = (field: number): number => {
    const value = view.getUint32(field, true);
    if (value !== inZip64.long) return value;
    const wide = long.shift();
    if (wide === undefined) throw fault(`"${name}" lacks a size in 64 bits`);
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
function zip64Numbers(
  view: DataView,
  [start, length]: readonly [start: number, length: number],
  fault: ZipFault,
): number[] {
  const end = start + length;
  for (let at = start; at + 4 <= end;) {
    const fieldLength = view.getUint16(at + 2, true);
    if (at + 4 + fieldLength > end) break;
    if (view.getUint16(at, true) === zip64Tag) {
      const numbers = Math.floor(fieldLength / 8);
      return Array.from({ length: numbers }, (_, index) => whole(view, at + 4 + 8 * index, fault));
    }
    at += 4 + fieldLength;
  }
  return [];
}

async function startOf(
  source: ByteSource,
  { name, offset, packedSize }: ZipEntry,
  fault: ZipFault,
  signal?: AbortSignal,
): Promise<number> {
  const header = viewOf(await readAt(source, offset, fixedSize.local, signal));
  expectRecord(header, 0, "local", fault, offset);
  // The local header's own name and extra field may be longer than those of the directory.
  const start = offset + fixedSize.local + header.getUint16(26, true) + header.getUint16(28, true);
  if (start + packedSize > source.size)
    throw fault(`"${name}" takes ${packedSize} bytes from ${start}, but it ends at ${source.size}`);
  return start;
}

async function unpacked(
  packed: Uint8Array<ArrayBuffer>,
  entry: ZipEntry,
  fault: ZipFault,
): Promise<Uint8Array<ArrayBuffer>> {
  const { name, size, packedSize, checksum } = entry;
  let content: Uint8Array<ArrayBuffer> | null = packed;
  if (entry.method !== method.stored) {
    if (size > bestRatio * packedSize)
      throw fault(`"${name}" says to hold ${size} bytes, more than can be in ${packedSize}`);
    content = await inflate(packed, size);
  }
  if (content === null || content.length !== size || crc32(content) !== checksum)
    throw fault(`the bytes of "${name}" are not those that were put in`);
  return content;
}

/** As many bytes as there are of a record. */
function readAt(
  source: ByteSource,
  at: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const from = Math.min(at, source.size);
  return source.read(from, Math.min(length, source.size - from), signal);
}

/** Where the record at the end begins: the last place whose comment reaches exactly to the end of the file. */
function findEnd(tail: DataView, fault: ZipFault): number {
  const last = tail.byteLength - fixedSize.end;
  for (let at = last; at >= Math.max(0, last - longestComment); at--) {
    if (tail.getUint32(at, true) === signature.end && at + tail.getUint16(at + 20, true) === last)
      return at;
  }
  throw fault("it has no directory at its end: it is cut short, or no zip archive");
}

function expectRecord(
  view: DataView,
  at: number,
  kind: keyof typeof signature,
  fault: ZipFault,
  viewStart: number,
): void {
  const inside = at >= 0 && at + fixedSize[kind] <= view.byteLength;
  if (inside && view.getUint32(at, true) === signature[kind]) return;
  throw fault(`there is no ${kind} record at byte ${viewStart + at}`);
}

/** A 64-bit number that a position in a file can be. */
function whole(view: DataView, at: number, fault: ZipFault): number {
  const value = Number(view.getBigUint64(at, true));
  if (Number.isSafeInteger(value)) return value;
  throw fault(`it names byte ${value}, which no file has`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
