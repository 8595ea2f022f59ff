import { IoError } from "@latentkit/core";
import { shownUrl, statusFault, truncatedFault } from "./http-fault.ts";
import { send } from "./http-request.ts";
import type { HttpOptions } from "./http-request.ts";
import { withRetries } from "./retry.ts";

/**
 * A small file as a whole. Throws `HttpFault`, and {@link IoError} `HTTP_TOO_LARGE` above `maximumBytes`, whatever the server says
 * about the size.
 */
export function fetchBytes(
  url: string,
  maximumBytes: number,
  options: HttpOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  return withRetries(options, async () => {
    const answer = await send({ url }, options);
    if (answer.response.status !== 200) {
      answer.stop();
      throw statusFault(answer.response, answer.url);
    }
    const { headers } = answer.response;
    // A server that compresses all the same gives the length of what it sends, not of the file.
    const declared = headers.has("content-encoding") ? null : headers.get("content-length");
    const expected = declared === null ? undefined : Number(declared);
    if (expected !== undefined && expected > maximumBytes) {
      answer.stop();
      throw tooLarge(expected, maximumBytes, url);
    }
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of answer.body()) {
      size += piece.byteLength;
      if (size > maximumBytes) throw tooLarge(size, maximumBytes, url);
      pieces.push(piece);
    }
    if (expected !== undefined && size !== expected) throw truncatedFault(size, expected, url);
    const result = new Uint8Array(size);
    let at = 0;
    for (const piece of pieces) {
      result.set(piece, at);
      at += piece.byteLength;
    }
    return result;
  });
}

function tooLarge(size: number, maximum: number, url: string): IoError {
  return new IoError({
    code: "HTTP_TOO_LARGE",
    message: `the file has at least ${size} bytes; ${maximum} are the most that such a file may have`,
    fix: "check that this is the repository you mean: files of this kind are small",
    where: shownUrl(url),
  });
}
