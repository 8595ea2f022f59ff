import { IoError, throwIfAborted } from "@latentkit/core";
import { checkRange } from "../byte-source.ts";
import type { ByteSource } from "../byte-source.ts";
import { shownUrl, statusFault, truncatedFault } from "./http-fault.ts";
import { send } from "./http-request.ts";
import type { HttpAnswer, HttpOptions } from "./http-request.ts";
import { withoutFaults, withRetries } from "./retry.ts";

/** The first request brings so many bytes: most headers fit, so that opening a file is one request. */
const firstBytes = 64 * 1024;

/** A file of a server that knows no ranges is read as a whole up to this size. */
const mostWhole = 16 * 1024 * 1024;

interface Opened {
  readonly size: number;
  readonly etag: string | undefined;
  readonly start: Uint8Array;
}

/**
 * A file on a web server as a source: what is read is fetched by range requests, and tried again where the connection breaks,
 * from the byte at which it broke.
 *
 * Throws {@link IoError}: `HTTP_MISSING`, `HTTP_DENIED`, `HTTP_RATE_LIMITED`, `HTTP_STATUS`, `HTTP_UNREACHABLE`, `HTTP_STALLED`,
 * `HTTP_TRUNCATED`, `HTTP_REDIRECT`, `HTTP_NO_RANGES`, `HTTP_CHANGED`; `ConfigError` `HTTP_URL`.
 */
export async function openUrl(url: string, options: HttpOptions = {}): Promise<ByteSource> {
  const name = shownUrl(url);
  const opened = await withoutFaults(() => withRetries(options, () => readStart(url, options)));
  const { size, start } = opened;
  return {
    name,
    size,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      checkRange({ name, size }, offset, length);
      if (offset + length <= start.length)
        return new Uint8Array(start.subarray(offset, offset + length));
      const bytes = new Uint8Array(length);
      const settings = { ...options, signal: signal ?? options.signal };
      await withoutFaults(() => readRange(url, offset, bytes, opened, settings));
      return bytes;
    },
    async close() {},
  };
}

async function readStart(url: string, options: HttpOptions): Promise<Opened> {
  const answer = await send({ url, headers: { range: `bytes=0-${firstBytes - 1}` } }, options);
  const { status, headers } = answer.response;
  const etag = strongEtag(headers);
  if (status === 416 && /^bytes \*\/0$/.test(headers.get("content-range") ?? "")) {
    answer.stop();
    return { size: 0, etag, start: new Uint8Array(0) };
  }
  if (status === 206) {
    const { first, last, size } = contentRange(answer, url);
    const length = last - first + 1;
    if (first !== 0 || length > firstBytes || (length < firstBytes && length !== size))
      throw noRanges(answer, url);
    const start = new Uint8Array(length);
    await fill(answer, start, 0, url);
    return { size, etag, start };
  }
  if (status !== 200) {
    answer.stop();
    throw statusFault(answer.response, answer.url);
  }
  const size = Number(headers.get("content-length") ?? Number.NaN);
  if (!(size <= mostWhole)) throw noRanges(answer, url);
  const start = new Uint8Array(size);
  await fill(answer, start, 0, url);
  return { size, etag, start };
}

/** Fills `bytes` from `offset` of the file on. */
async function readRange(
  url: string,
  offset: number,
  bytes: Uint8Array,
  opened: Opened,
  options: HttpOptions,
): Promise<void> {
  let done = 0;
  await withRetries(options, async (fresh) => {
    const [from, to] = [offset + done, offset + bytes.length - 1];
    const condition = opened.etag === undefined ? {} : { "if-range": opened.etag };
    const answer = await send(
      { url, headers: { range: `bytes=${from}-${to}`, ...condition } },
      options,
    );
    const { status, headers } = answer.response;
    if (status === 200 || status === 412 || status === 416) throw changed(answer, url);
    if (status !== 206) {
      answer.stop();
      throw statusFault(answer.response, answer.url);
    }
    const range = contentRange(answer, url);
    const etag = strongEtag(headers);
    if (range.size !== opened.size || (etag !== undefined && etag !== opened.etag))
      throw changed(answer, url);
    if (range.first !== from || range.last > to) throw noRanges(answer, url);
    await fill(answer, bytes, done, url, (filled) => {
      done = filled;
      fresh();
    });
  });
}

/** Puts the body at `at`, and throws a fault unless it ends where `bytes` does. */
async function fill(
  answer: HttpAnswer,
  bytes: Uint8Array,
  at: number,
  url: string,
  onBytes?: (filled: number) => void,
): Promise<void> {
  let filled = at;
  for await (const piece of answer.body()) {
    if (filled + piece.length > bytes.length)
      throw truncatedFault(filled + piece.length - at, bytes.length - at, url);
    bytes.set(piece, filled);
    filled += piece.length;
    onBytes?.(filled);
  }
  if (filled < bytes.length) throw truncatedFault(filled - at, bytes.length - at, url);
}

/** What `Content-Range: bytes FIRST-LAST/SIZE` says. */
function contentRange(
  answer: HttpAnswer,
  url: string,
): { readonly first: number; readonly last: number; readonly size: number } {
  const found = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(
    answer.response.headers.get("content-range") ?? "",
  );
  if (found === null) throw noRanges(answer, url);
  return { first: Number(found[1]), last: Number(found[2]), size: Number(found[3]) };
}

/** Weak tags say nothing about bytes. */
function strongEtag(headers: Headers): string | undefined {
  const etag = headers.get("etag");
  return etag === null || etag.startsWith("W/") ? undefined : etag;
}

function noRanges(answer: HttpAnswer, url: string): IoError {
  answer.stop();
  return new IoError({
    code: "HTTP_NO_RANGES",
    message: "the server cannot send a part of a file, which reading single tensors needs",
    fix: "download the file and give its path",
    where: shownUrl(url),
  });
}

function changed(answer: HttpAnswer, url: string): IoError {
  answer.stop();
  return new IoError({
    code: "HTTP_CHANGED",
    message: "the file on the server is no longer the one that was opened",
    fix: "open it again",
    where: shownUrl(url),
  });
}
