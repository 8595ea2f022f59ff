import { ConfigError, IoError } from "@latentkit/core";
import { bytesSource } from "@latentkit/loaders";
import type { TinyReader } from "./reader.ts";

/**
 * A reader over HTTP: fetches files of the data folder below `baseUrl`. A file is fetched whole, once for each time it is asked for;
 * the browser's cache does the rest.
 *
 * @param baseUrl absolute address of the data folder, with or without a slash at its end
 * @throws ConfigError `TINY_URL` for what is no absolute address; the reader throws IoError `TINY_MISSING` where the server has no such
 *   file, and `TINY_FETCH` where it cannot be reached or refuses
 *
 * @example
 * const read = fetchTiny(new URL("models/tiny/", document.baseURI));
 * using model = await loadTiny({ device, read });
 */
export function fetchTiny(baseUrl: string | URL): TinyReader {
  const base = parseBase(baseUrl);
  return async (name, signal) => {
    const url = new URL(name, base).href;
    const response = await fetch(url, signal === undefined ? {} : { signal }).catch(
      (error: unknown) => {
        if (signal?.aborted === true) throw error;
        throw refused(url, "the server cannot be reached", error);
      },
    );
    if (response.status === 404 || response.status === 410) throw missingFile(name, url);
    if (!response.ok) throw refused(url, `the server answered with status ${response.status}`);
    return bytesSource(new Uint8Array(await response.arrayBuffer()), url);
  };
}

function parseBase(baseUrl: string | URL): URL {
  const text = String(baseUrl);
  if (URL.canParse(text)) return new URL(text.endsWith("/") ? text : `${text}/`);
  throw new ConfigError({
    code: "TINY_URL",
    message: `"${text}" is not an absolute address`,
    fix: "give a whole address, for example new URL('tiny/', document.baseURI)",
    where: "baseUrl",
  });
}

/** The same fault whether a server or a disk lacks the file. */
export function missingFile(name: string, where: string, cause?: unknown): IoError {
  return new IoError({
    code: "TINY_MISSING",
    message: `the data of the embedded model lacks ${name}`,
    fix: "install @latentkit/tiny again, or copy its data folder to where it is read from",
    where,
    cause,
  });
}

function refused(url: string, why: string, cause?: unknown): IoError {
  return new IoError({
    code: "TINY_FETCH",
    message: `the data of the embedded model cannot be fetched: ${why}`,
    fix: "check the address and the connection, then load again",
    where: url,
    cause,
  });
}
