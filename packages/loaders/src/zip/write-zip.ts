import { ConfigError } from "@latentkit/core";
import { crc32 } from "./crc32.ts";
import { fixedSize, inZip64, method, signature } from "./zip-layout.ts";

/** A file to be put into an archive. */
export interface ZipFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Version 2.0 of the format is all that is used. */
const version = 20;
/** 1 January 1980, the first day that zip has: bytes must not depend on when they are made. */
const firstDay = (1 << 5) | 1;
/** Names are UTF-8. */
const utf8Flag = 1 << 11;

/**
 * A zip archive without compression; its bytes depend on names and contents alone.
 *
 * Throws {@link ConfigError} `NPZ_TO_WRITE` for what would need zip64: 4 GiB, or 65,535 files.
 */
export function writeZip(files: readonly ZipFile[]): Uint8Array<ArrayBuffer> {
  const named = files.map(({ name, bytes }) => ({
    name: new TextEncoder().encode(name),
    bytes,
    checksum: crc32(bytes),
  }));
  let size: number = fixedSize.end;
  for (const { name, bytes } of named)
    size += fixedSize.local + fixedSize.central + 2 * name.length + bytes.length;
  if (size >= inZip64.long || files.length >= inZip64.short)
    throw tooLarge(`${files.length} arrays take ${size} bytes`);
  const archive = new Uint8Array(size);
  const view = new DataView(archive.buffer);
  let at = 0;
  const offsets: number[] = [];
  for (const { name, bytes, checksum } of named) {
    offsets.push(at);
    view.setUint32(at, signature.local, true);
    writeCommon(view, at + 4, name, bytes, checksum);
    archive.set(name, at + fixedSize.local);
    archive.set(bytes, at + fixedSize.local + name.length);
    at += fixedSize.local + name.length + bytes.length;
  }
  const directory = at;
  for (const [index, { name, bytes, checksum }] of named.entries()) {
    view.setUint32(at, signature.central, true);
    view.setUint16(at + 4, version, true);
    writeCommon(view, at + 6, name, bytes, checksum);
    view.setUint32(at + 42, offsets[index] ?? 0, true);
    archive.set(name, at + fixedSize.central);
    at += fixedSize.central + name.length;
  }
  view.setUint32(at, signature.end, true);
  view.setUint16(at + 8, named.length, true);
  view.setUint16(at + 10, named.length, true);
  view.setUint32(at + 12, at - directory, true);
  view.setUint32(at + 16, directory, true);
  return archive;
}

/** The fields that an entry has both before its bytes and in the directory, in the same order. */
function writeCommon(
  view: DataView,
  at: number,
  name: Uint8Array,
  bytes: Uint8Array,
  checksum: number,
): void {
  view.setUint16(at, version, true);
  view.setUint16(at + 2, utf8Flag, true);
  view.setUint16(at + 4, method.stored, true);
  view.setUint16(at + 8, firstDay, true);
  view.setUint32(at + 10, checksum, true);
  view.setUint32(at + 14, bytes.length, true);
  view.setUint32(at + 18, bytes.length, true);
  view.setUint16(at + 22, name.length, true);
}

function tooLarge(what: string): ConfigError {
  return new ConfigError({
    code: "NPZ_TO_WRITE",
    message: `${what}, more than an archive without zip64 holds`,
    fix: "write f16, or safetensors instead",
  });
}
