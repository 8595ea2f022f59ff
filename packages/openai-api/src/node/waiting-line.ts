import { HttpError } from "./http-error.ts";

/** Lets one caller in at a time, in the order in which they came: a model that answers two at once answers both late. */
export class WaitingLine {
  readonly #limit: number;
  #waiting: (() => void)[] = [];
  #busy = false;

  /** @param limit callers that may wait */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs `work` when it is its turn. Throws HttpError 429 where too many wait; gives up its place once the signal fires. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy = false;
      else next();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (!this.#busy) {
      this.#busy = true;
      return;
    }
    if (this.#waiting.length >= this.#limit) {
      throw new HttpError(429, "too_many_requests", `${this.#limit} requests are waiting already`, {
        "retry-after": "1",
      });
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting = this.#waiting.filter((one) => one !== enter);
        reject(new HttpError(499, "client_closed_request", "the client went away"));
      };
      this.#waiting.push(enter);
      if (signal.aborted) leave();
      else signal.addEventListener("abort", leave, { once: true });
    });
  }
}
