import { throwIfAborted } from "@latentkit/core";
import { HttpFault } from "./http-fault.ts";

/** How often and how patiently a request is tried. */
export interface RetryOptions {
  /** Tries after the first one that bring nothing new; 5 unless told otherwise. */
  readonly retries?: number | undefined;
  /** The first wait in milliseconds, doubled each time up to 10 seconds; 500 unless told otherwise. */
  readonly firstDelayMs?: number | undefined;
  /** The longest wait that a server may ask for in milliseconds; 120,000 unless told otherwise. Beyond it the call fails at once. */
  readonly longestWaitMs?: number | undefined;
}

const longestDelayMs = 10_000;

/**
 * Calls until it succeeds or fails for good; `fresh()` within a try says that it brought something, after which the counting
 * starts again. Throws the last fault's error.
 */
export async function withRetries<T>(
  options: RetryOptions & { readonly signal?: AbortSignal | undefined },
  attempt: (fresh: () => void) => Promise<T>,
): Promise<T> {
  const { retries = 5, firstDelayMs = 500, longestWaitMs = 120_000, signal } = options;
  let failed = 0;
  const fresh = (): void => {
    failed = 0;
  };
  for (;;) {
    throwIfAborted(signal, "what was downloaded is kept");
    try {
      return await attempt(fresh);
    } catch (error) {
      throwIfAborted(signal, "what was downloaded is kept");
      if (!(error instanceof HttpFault)) throw error;
      const { retry, waitMs = 0 } = error.details;
      if (!retry || failed >= retries || waitMs > longestWaitMs) throw error;
      const delay = Math.min(firstDelayMs * 2 ** failed, longestDelayMs);
      failed += 1;
      await wait(Math.max(delay, waitMs), signal);
    }
  }
}

/** Waits, or ends early once the signal fires. */
export function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal?.aborted === true) done();
    else signal?.addEventListener("abort", done);
  });
}

/** What callers see of a fault: its error. Everything else passes as it is. */
export async function withoutFaults<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw error instanceof HttpFault ? error.details.error : error;
  }
}
