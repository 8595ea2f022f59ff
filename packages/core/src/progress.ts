import { AbortedError } from "./errors.ts";

/** One step of a long call. Libraries emit these; only applications draw them. */
export interface ProgressEvent {
  /** What is going on, for example `"harvest"`. */
  readonly stage: string;
  /** Units done so far. */
  readonly done: number;
  /** Units in all, if known. */
  readonly total?: number | undefined;
  /** `"tokens"`, `"bytes"`, `"steps"`, ... */
  readonly unit: string;
  /** Figures worth showing beside the bar, for example `{ l0: 61.2, fvu: 0.18 }`. */
  readonly figures?: Readonly<Record<string, number>> | undefined;
  /** Words or a drawing of one line worth showing at the end, for example a small curve. */
  readonly note?: string | undefined;
}

/** Receives progress; must not throw. */
export type OnProgress = (event: ProgressEvent) => void;

/** What every long call accepts. */
export interface LongCallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** Throws {@link AbortedError} once the signal has fired; `kept` says what is safe on disk. */
export function throwIfAborted(
  signal: AbortSignal | undefined,
  kept = "nothing was written",
): void {
  if (signal?.aborted !== true) return;
  throw new AbortedError({
    code: "ABORTED",
    message: `stopped on request; ${kept}`,
    fix: "run the same command again to go on",
    cause: signal.reason,
  });
}

/** Lets timers, signals and progress run between pieces of synchronous work. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
