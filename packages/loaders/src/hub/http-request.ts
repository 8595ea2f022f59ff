import { ConfigError, IoError } from "@latentkit/core";
import { connectionFault, shownUrl, stallFault } from "./http-fault.ts";
import type { RetryOptions } from "./retry.ts";

/** How servers are spoken to. */
export interface HttpOptions extends RetryOptions {
  /** Sent as `Authorization: Bearer ...` to `tokenOrigin`, and never elsewhere, whatever redirects say. */
  readonly token?: string | undefined;
  /** Scheme, host and port that may see the token, for example `https://huggingface.co`. */
  readonly tokenOrigin?: string | undefined;
  /** A server that says nothing for so many milliseconds has stalled; 30,000 unless told otherwise. */
  readonly stallMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One request. */
export interface HttpRequest {
  readonly url: string;
  readonly method?: "GET" | "HEAD" | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** `"origin"` gives a redirect to another host back instead of following it. */
  readonly follow?: "all" | "origin" | undefined;
}

/** An answer whose body comes in pieces. Whoever asked reads the body to its end or calls `stop`. */
export interface HttpAnswer {
  readonly response: Response;
  /** Where the answer came from, after redirects. */
  readonly url: string;
  body(): AsyncGenerator<Uint8Array>;
  stop(): void;
}

const mostRedirects = 8;
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Sends a request and follows its redirects itself, so that the token goes to its own host only and https never falls back to
 * http. Makes no second try: see `withRetries`.
 *
 * Throws `HttpFault` where the network fails; {@link IoError} `HTTP_REDIRECT`; {@link ConfigError} `HTTP_URL`.
 */
export async function send(request: HttpRequest, options: HttpOptions): Promise<HttpAnswer> {
  let url = checkedUrl(request.url);
  for (let hops = 0; hops <= mostRedirects; hops++) {
    const answer = await sendOnce(url, request, options);
    const location = answer.response.headers.get("location");
    if (!redirects.has(answer.response.status) || location === null) return answer;
    const next = redirectTarget(url, location);
    if (request.follow === "origin" && next.origin !== url.origin) return answer;
    answer.stop();
    url = next;
  }
  throw redirectError(`there are more than ${mostRedirects} redirects`, request.url);
}

async function sendOnce(url: URL, request: HttpRequest, options: HttpOptions): Promise<HttpAnswer> {
  const { stallMs = 30_000, token, tokenOrigin, signal } = options;
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  if (signal?.aborted === true) stop();
  signal?.addEventListener("abort", stop, { once: true });
  const guarded = <T>(step: Promise<T>): Promise<T> => guard(step, stallMs, url.href, controller);
  const allowed = token !== undefined && url.origin === tokenOrigin;
  const release = (): void => signal?.removeEventListener("abort", stop);
  const response = await guarded(
    fetch(url, {
      method: request.method ?? "GET",
      redirect: "manual",
      // What is asked for are the bytes of the file: compressed, their number would say nothing.
      headers: {
        "accept-encoding": "identity",
        "user-agent": "latentkit",
        ...request.headers,
        ...(allowed ? { authorization: `Bearer ${token}` } : {}),
      },
      signal: controller.signal,
    }),
  ).catch((error: unknown) => {
    release();
    throw error;
  });
  return {
    response,
    url: url.href,
    stop() {
      release();
      stop();
    },
    async *body() {
      try {
        const reader = response.body?.getReader();
        if (reader === undefined) return;
        for (;;) {
          const { done, value } = await guarded(reader.read());
          if (done) return;
          // fetch gives bytes; its type says any.
          yield value as Uint8Array;
        }
      } finally {
        release();
        stop();
      }
    },
  };
}

/** Turns silence and broken connections into faults. */
async function guard<T>(
  step: Promise<T>,
  stallMs: number,
  url: string,
  controller: AbortController,
): Promise<T> {
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    controller.abort();
  }, stallMs);
  try {
    return await step;
  } catch (cause) {
    throw stalled ? stallFault(stallMs, url) : connectionFault(cause, url);
  } finally {
    clearTimeout(timer);
  }
}

/** Throws {@link ConfigError} `HTTP_URL` for what is no plain http(s) address. */
export function checkedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.username === "" &&
    url.password === ""
  )
    return url;
  throw new ConfigError({
    code: "HTTP_URL",
    message:
      "this is not an address that can be read: http:// or https://, without a name and a password, is",
    fix: "give a plain address; a token for the hub goes into HF_TOKEN",
    where: shownUrl(text),
  });
}

/** Where a redirect leads. Throws {@link IoError} `HTTP_REDIRECT` for what is no http(s) address, and for http where https was. */
export function redirectTarget(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (to === undefined || !/^https?:$/.test(to.protocol))
    throw redirectError("the server redirects to what is no http(s) address", from.href);
  if (from.protocol === "https:" && to.protocol === "http:")
    throw redirectError(
      `the server redirects from https to http, at ${shownUrl(to.href)}`,
      from.href,
    );
  return to;
}

function redirectError(message: string, url: string): IoError {
  return new IoError({
    code: "HTTP_REDIRECT",
    message,
    fix: "check the address, and HF_ENDPOINT if it is set",
    where: shownUrl(url),
  });
}
