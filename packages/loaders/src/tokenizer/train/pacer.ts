/** Tells long synchronous work when it is time to let others run. */
export class Pacer {
  readonly #interval: number;
  #last = Number.NEGATIVE_INFINITY;

  /** @param interval milliseconds between two times. */
  constructor(interval = 50) {
    this.#interval = interval;
  }

  /** Whether the interval has gone by since this last said so; true at first. */
  due(): boolean {
    const now = performance.now();
    if (now - this.#last < this.#interval) return false;
    this.#last = now;
    return true;
  }
}
