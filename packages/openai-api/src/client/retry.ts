import { throwIfAborted } from "@latentkit/core";

/** What to try again, and how often. */
export interface RetryOptions {
  /** Tries in all. */
  readonly tries: number;
  /** Seconds before the second try; they double from try to try. */
  readonly firstWait: number;
  /** Seconds to wait at most, whatever a server asks for. */
  readonly longestWait: number;
  readonly signal?: AbortSignal | undefined;
  /** From 0 to 1; Math.random by default. */
  readonly random?: (() => number) | undefined;
}

/** Thrown by a try that may succeed later. */
export class TryAgain extends Error {
  /** Seconds that the server asked for; null for none. */
  readonly after: number | null;

  constructor(message: string, after: number | null, cause?: unknown) {
    super(message, { cause });
    this.name = "TryAgain";
    this.after = after;
  }
}

/** Runs `attempt` until it returns, or throws something else than {@link TryAgain}, or the tries are used up: then the last error. */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { tries, firstWait, longestWait, signal, random = Math.random }: RetryOptions,
): Promise<T> {
  for (let number = 1; ; number++) {
    throwIfAborted(signal, `before try ${number}`);
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TryAgain) || number >= tries) throw error;
      // Between half of the wait and all of it, so that clients that failed together do not come back together.
      const own = firstWait * 2 ** (number - 1) * (0.5 + 0.5 * random());
      await wait(Math.min(longestWait, error.after ?? own), signal);
    }
  }
}

/** Resolves after so many seconds, or at once when the signal fires. */
export async function wait(seconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Seconds of a Retry-After header: a number, or a date; null where there is none that makes sense. */
export function retryAfter(header: string | null, now: number = Date.now()): number | null {
  if (header === null) return null;
  const seconds = /^\s*\d+(?:\.\d+)?\s*$/u.test(header)
    ? Number(header)
    : (Date.parse(header) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}
