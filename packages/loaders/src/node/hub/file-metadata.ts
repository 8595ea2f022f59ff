import { FormatError } from "@latentkit/core";
import { statusFault } from "../../hub/http-fault.ts";
import { send } from "../../hub/http-request.ts";
import type { HttpOptions } from "../../hub/http-request.ts";
import type { HubFile } from "../../hub/hub-listing.ts";
import { withRetries } from "../../hub/retry.ts";

/** What the hub says about a file before it is downloaded. */
export interface FileMetadata {
  /** Names the content, and its blob in the cache: SHA-256 of large files, git's SHA-1 of the others. Safe as a file name. */
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * Asks for the headers of a file. A redirect to the servers that hold large files is not followed: the hub's own answer has the
 * tag and the size.
 *
 * Throws `HttpFault`; {@link FormatError} `HUB_METADATA` where the answer lacks one of them, has a tag that cannot name a file, or
 * contradicts the hub's list of files.
 */
export function fetchMetadata(
  url: string,
  file: HubFile,
  commit: string,
  options: HttpOptions,
): Promise<FileMetadata> {
  return withRetries(options, async () => {
    const answer = await send({ url, method: "HEAD", follow: "origin" }, options);
    answer.stop();
    const { status, headers } = answer.response;
    const redirect = status >= 300 && status < 400;
    if (status !== 200 && !redirect) throw statusFault(answer.response, answer.url);
    const etag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(
      /^(?:W\/)?"?([^"]*)"?$/,
      "$1",
    );
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(etag))
      throw metadataError(`the tag ${JSON.stringify(etag)} cannot name a file`, url);
    const given = headers.get("x-linked-size") ?? (redirect ? null : headers.get("content-length"));
    const size = given === null ? file.size : Number(given);
    if (size === undefined || !Number.isSafeInteger(size) || size < 0)
      throw metadataError("the hub does not say how large the file is", url);
    if (file.size !== undefined && size !== file.size)
      throw metadataError(
        `the hub's list has ${file.size} bytes for the file, its answer ${size}`,
        url,
      );
    if (file.sha256 !== undefined && etag !== file.sha256)
      throw metadataError(
        `the hub's list has SHA-256 ${file.sha256} for the file, its answer ${etag}`,
        url,
      );
    const answered = headers.get("x-repo-commit");
    if (answered !== null && answered !== commit)
      throw metadataError(`the answer is of commit ${answered}, not ${commit}`, url);
    return { etag, size };
  });
}

function metadataError(message: string, where: string): FormatError {
  return new FormatError({
    code: "HUB_METADATA",
    message,
    fix: "run again; if it stays, check HF_ENDPOINT and what stands between you and the hub (a proxy, a mirror)",
    where,
  });
}
