import type { MemoryUse } from "@latentkit/tensor";

/** Counts the bytes in use of one device, over all of its memories. */
export class Meter {
  #live = 0;
  #peak = 0;

  add(bytes: number): void {
    this.#live += bytes;
    this.#peak = Math.max(this.#peak, this.#live);
  }

  remove(bytes: number): void {
    this.#live -= bytes;
  }

  use(): MemoryUse {
    return { liveBytes: this.#live, peakBytes: this.#peak };
  }
}
