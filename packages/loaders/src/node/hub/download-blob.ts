import { FormatError, internalFault, throwIfAborted } from "@latentkit/core";
import { createHash, type Hash } from "node:crypto";
import { mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { shownUrl, statusFault, truncatedFault } from "../../hub/http-fault.ts";
import { send } from "../../hub/http-request.ts";
import type { HttpOptions } from "../../hub/http-request.ts";
import { withRetries } from "../../hub/retry.ts";
import { asIoError } from "../io-errors.ts";
import type { FileMetadata } from "./file-metadata.ts";

/** What is needed of the file that a download grows in; tests give one whose disk is full. */
export interface PartialFile {
  /** Bytes that an earlier run left. */
  readonly size: number;
  /** Those bytes. */
  pieces(): AsyncIterable<Uint8Array>;
  /** Drops everything from this byte on. */
  truncate(size: number): Promise<void>;
  /** Writes all of the bytes at a place. */
  write(bytes: Uint8Array, at: number): Promise<void>;
  /** Flushes to the disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** How a blob is downloaded. */
export interface DownloadOptions extends HttpOptions {
  /** Called with the bytes that are on disk. */
  readonly onBytes?: ((done: number) => void) | undefined;
  /** Opens the unfinished file; the file system's own unless given. */
  readonly openPartial?: ((path: string) => Promise<PartialFile>) | undefined;
}

/** What a file is called until it is whole. Python's unfinished files have other names, so that neither writes into the other's. */
export function incompleteName(path: string): string {
  return `${path}.latentkit.incomplete`;
}

/**
 * Downloads a file to `path`. It grows in `${path}.latentkit.incomplete`, which a later run goes on with, and gets its name only
 * once its size, and its hash where the tag is one, are right and it is flushed to the disk.
 *
 * Throws `HttpFault`; `IoError` `DISK_FULL`, ...; {@link FormatError} `HUB_CHECKSUM`; `AbortedError`.
 */
export async function downloadBlob(
  url: string,
  path: string,
  metadata: FileMetadata,
  options: DownloadOptions,
): Promise<void> {
  const incomplete = incompleteName(path);
  await mkdir(dirname(path), { recursive: true });
  try {
    // A wrong hash may be what an earlier run left: once more from the start, and then no more.
    for (const last of [false, true]) {
      const found = await downloadOnce(url, incomplete, metadata, options);
      if (found === null) return await rename(incomplete, path);
      await unlink(incomplete);
      if (last) throw checksumError(found, metadata.etag, url);
    }
  } catch (error) {
    throw asIoError(error, incomplete);
  }
}

/** Downloads what is missing. Gives null if the content is what its tag says, and otherwise its hash. */
async function downloadOnce(
  url: string,
  incomplete: string,
  metadata: FileMetadata,
  options: DownloadOptions,
): Promise<string | null> {
  const { signal, onBytes, openPartial = openPartialFile } = options;
  const file = await openPartial(incomplete);
  try {
    let hash = hashFor(metadata);
    let done = 0;
    const restart = async (): Promise<void> => {
      await file.truncate(0);
      hash = hashFor(metadata);
      done = 0;
    };
    // Of content that has no hash, a rest that a crash may have left full of zeros could not be told from the truth.
    if (file.size > metadata.size || hash === null) {
      await restart();
    } else {
      for await (const piece of file.pieces()) {
        throwIfAborted(signal, "what was downloaded is kept");
        hash?.update(piece);
        done += piece.length;
      }
    }
    onBytes?.(done);
    // An empty file needs no bytes, and a finished one no more of them.
    if (done < metadata.size) {
      await withRetries(options, async (fresh) => {
        const answer = await send(
          { url, headers: done === 0 ? {} : { range: `bytes=${done}-` } },
          options,
        );
        try {
          const { status, headers } = answer.response;
          if (status === 416 && done > 0) {
            await restart();
            throw truncatedFault(0, metadata.size, url);
          }
          if (status !== 200 && status !== 206) throw statusFault(answer.response, answer.url);
          // A server that knows no ranges sends all of it again.
          if (status === 200 && done > 0) await restart();
          if (status === 206 && !startsAt(headers, done)) {
            await restart();
            throw truncatedFault(0, metadata.size, url);
          }
          for await (const piece of answer.body()) {
            if (done + piece.length > metadata.size)
              throw await tooLong(restart, done + piece.length, metadata.size, url);
            await file.write(piece, done);
            hash?.update(piece);
            done += piece.length;
            fresh();
            onBytes?.(done);
          }
        } finally {
          answer.stop();
        }
        if (done < metadata.size) throw truncatedFault(done, metadata.size, url);
      });
    }
    throwIfAborted(signal, "what was downloaded is kept");
    await file.sync();
    const digest = hash?.digest("hex") ?? metadata.etag;
    return digest === metadata.etag ? null : digest;
  } finally {
    await file.close();
  }
}

async function tooLong(
  restart: () => Promise<void>,
  given: number,
  expected: number,
  url: string,
): Promise<Error> {
  await restart();
  return truncatedFault(given, expected, url);
}

function startsAt(headers: Headers, place: number): boolean {
  return (headers.get("content-range") ?? "").startsWith(`bytes ${place}-`);
}

/** The hash whose digest the tag is: SHA-256 of the content, git's SHA-1 of a blob, or none that we know. */
function hashFor({ etag, size }: FileMetadata): Hash | null {
  if (/^[0-9a-f]{64}$/.test(etag)) return createHash("sha256");
  return /^[0-9a-f]{40}$/.test(etag) ? createHash("sha1").update(`blob ${size}\0`) : null;
}

async function openPartialFile(path: string): Promise<PartialFile> {
  const handle = await open(path, "a+").then(async (created) => {
    await created.close();
    return open(path, "r+");
  });
  const { size } = await handle.stat();
  return {
    size,
    async *pieces() {
      const buffer = new Uint8Array(1024 * 1024);
      for (let at = 0; at < size;) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0) throw internalFault(`${path} became shorter while it was read`);
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    truncate: (to) => handle.truncate(to),
    async write(bytes, at) {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
        done += bytesWritten;
      }
    },
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

function checksumError(found: string, expected: string, url: string): FormatError {
  return new FormatError({
    code: "HUB_CHECKSUM",
    message: `the downloaded file has hash ${found}, twice; the hub says ${expected}. It was thrown away`,
    fix: "something between you and the hub changes or mixes up files (a proxy, a mirror): use another way to the hub",
    where: shownUrl(url),
  });
}
