import { wait } from "./retry.ts";

/** Lets so many calls begin a minute, evenly, and so many run at once. */
export class RateLimit {
  readonly #spacing: number;
  readonly #atOnce: number;
  #nextStart = 0;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param perMinute null for no limit */
  constructor(perMinute: number | null, atOnce: number) {
    this.#spacing = perMinute === null ? 0 : 60_000 / perMinute;
    this.#atOnce = atOnce;
  }

  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.#running >= this.#atOnce)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      const now = Date.now();
      const start = Math.max(now, this.#nextStart);
      this.#nextStart = start + this.#spacing;
      if (start > now) await wait((start - now) / 1000, signal);
      return await work();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}
