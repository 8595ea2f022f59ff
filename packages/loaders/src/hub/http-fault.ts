import { IoError } from "@latentkit/core";

/** What went wrong with one request, for whoever decides whether to try again. */
export interface HttpFaultDetails {
  readonly error: IoError;
  /** Whether the same request may succeed later: 408, 429, 5xx, broken connections, stalls. */
  readonly retry: boolean;
  /** How long the server asked to wait, in milliseconds. */
  readonly waitMs?: number | undefined;
  /** The answer's status; absent where there was no answer. */
  readonly status?: number | undefined;
  /** The hub's `X-Error-Code`, for example `GatedRepo`. */
  readonly errorCode?: string | undefined;
  /** The hub's `X-Error-Message`. */
  readonly errorMessage?: string | undefined;
}

/** Carries a fault through the code that retries. Callers of this package see its `error`. */
export class HttpFault extends Error {
  readonly details: HttpFaultDetails;

  constructor(details: HttpFaultDetails) {
    super(details.error.message, { cause: details.error });
    this.details = details;
  }
}

/** The address without its query, which may hold a signature, and without what stands before an `@`. */
export function shownUrl(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  } catch {
    return url.split("?")[0] ?? url;
  }
}

/** A part of an address in plain letters; as it is where it is no valid escape. */
export function decodedPart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const later: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/** The fault of an answer that is neither what was asked for nor a redirect. */
export function statusFault(response: Response, url: string): HttpFault {
  const { status, headers } = response;
  const where = shownUrl(url);
  const errorMessage = headers.get("x-error-message") ?? undefined;
  const said = errorMessage === undefined ? "" : `: ${errorMessage.slice(0, 300)}`;
  return new HttpFault({
    error: statusError(status, said, where),
    retry: later.has(status),
    waitMs: retryAfter(headers),
    status,
    errorCode: headers.get("x-error-code") ?? undefined,
    errorMessage,
  });
}

function statusError(status: number, said: string, where: string): IoError {
  if (status === 404 || status === 410) {
    return new IoError({
      code: "HTTP_MISSING",
      message: `the server has no such file (${status})${said}`,
      fix: "check the address",
      where,
    });
  }
  if (status === 401 || status === 403) {
    return new IoError({
      code: "HTTP_DENIED",
      message: `the server does not give the file (${status})${said}`,
      fix: "check that you may read it; for files of the hub, set HF_TOKEN",
      where,
    });
  }
  if (status === 429) {
    return new IoError({
      code: "HTTP_RATE_LIMITED",
      message: `the server wants fewer requests (429)${said}`,
      fix: "wait a while and run again; what was downloaded is kept",
      where,
    });
  }
  return new IoError({
    code: "HTTP_STATUS",
    message: `the server answered with status ${status}${said}`,
    fix:
      status >= 500
        ? "the server has a fault: run again later; what was downloaded is kept"
        : "check the address",
    where,
  });
}

/** The fault of a connection that could not be made or broke. */
export function connectionFault(cause: unknown, url: string): HttpFault {
  const error = new IoError({
    code: "HTTP_UNREACHABLE",
    message: `the server cannot be reached: ${reasonOf(cause)}`,
    fix: "check the network and the address, then run again; what was downloaded is kept",
    where: shownUrl(url),
    cause,
  });
  return new HttpFault({ error, retry: true });
}

/** The fault of an answer that ended early, or went on too long. */
export function truncatedFault(given: number, expected: number, url: string): HttpFault {
  const error = new IoError({
    code: "HTTP_TRUNCATED",
    message: `the answer has ${given} bytes; ${expected} were expected`,
    fix: "the connection broke: run again; what was downloaded is kept",
    where: shownUrl(url),
  });
  return new HttpFault({ error, retry: true });
}

/** The fault of a server that says nothing for too long. */
export function stallFault(stallMs: number, url: string): HttpFault {
  const error = new IoError({
    code: "HTTP_STALLED",
    message: `nothing came for ${stallMs / 1000} seconds`,
    fix: "check the network, then run again; what was downloaded is kept",
    where: shownUrl(url),
  });
  return new HttpFault({ error, retry: true });
}

/** fetch hides what happened in a chain of causes. */
function reasonOf(cause: unknown): string {
  for (let error: unknown = cause; error instanceof Error; error = error.cause) {
    if (error.cause === undefined) return error.message === "" ? error.name : error.message;
  }
  return String(cause);
}

/** Milliseconds of `Retry-After`, in seconds or as a date, or of the hub's `ratelimit: ...;t=SECONDS`. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim();
  if (text === undefined) {
    const seconds = /(?:^|;)\s*t=(\d{1,6})/.exec(headers.get("ratelimit") ?? "")?.[1];
    return seconds === undefined ? undefined : Number(seconds) * 1000;
  }
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
