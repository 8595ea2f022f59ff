/** Something for the device's queue, which may have to wait for programs. */
export interface Entry<B = unknown> {
  /** What it needs compiled; one that is not ready holds this entry and all behind it. */
  readonly programs: Iterable<{ readonly ready: boolean }>;
  /** What it reads or writes. */
  readonly buffers: Iterable<B>;
  /** Dispatches, and bytes of the host, that are kept for as long as it waits. */
  readonly dispatches: number;
  readonly bytes: number;
  /** Hands it to the device. Programs that are not ready are compiled in place. */
  readonly run: () => void;
}

/** What may wait at most, so that a loop that never awaits anything does not fill the host's memory. */
const mostDispatches = 16_384;
const mostBytes = 256 * 1024 * 1024;

/**
 * The device's queue, with a waiting room before it: entries run in the order in which they came, each as soon as its programs are
 * compiled and none is before it. Where nothing waits an entry runs at once. Where too much waits, or nobody awaits anything and the
 * background is never heard, all of it runs at once and compiles in place.
 */
export class WaitingQueue<B = unknown> {
  readonly #waiting: Entry<B>[] = [];
  readonly #buffers = new Set<B>();
  #wakers: (() => void)[] = [];
  #dispatches = 0;
  #bytes = 0;
  #closed = false;

  /** Whether something waits. */
  get busy(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether something that waits may use the buffer. */
  uses(buffer: B): boolean {
    return this.#buffers.has(buffer);
  }

  /** Runs the entry behind all others. */
  push(entry: Entry<B>): void {
    if (this.#closed) return;
    if (!this.busy && isReady(entry)) {
      entry.run();
      return;
    }
    this.#waiting.push(entry);
    for (const buffer of entry.buffers) this.#buffers.add(buffer);
    this.#dispatches += entry.dispatches;
    this.#bytes += entry.bytes;
    if (this.#dispatches > mostDispatches || this.#bytes > mostBytes) this.#advance(() => true);
  }

  /** A program was compiled: runs what no longer waits. */
  advance(): void {
    this.#advance(isReady);
  }

  /** Resolves when nothing waits any more, also where it never ran because the queue was closed. */
  settled(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#wakers.push(resolve)) : Promise.resolve();
  }

  /** Drops what waits, and all that comes: after a fault nothing may be computed, and a disposed device takes nothing. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    this.#emptied();
  }

  #advance(goes: (entry: Entry<B>) => boolean): void {
    let done = 0;
    for (const entry of this.#waiting) {
      if (this.#closed || !goes(entry)) break;
      entry.run();
      this.#dispatches -= entry.dispatches;
      this.#bytes -= entry.bytes;
      done++;
    }
    this.#waiting.splice(0, done);
    if (!this.busy) this.#emptied();
  }

  #emptied(): void {
    this.#buffers.clear();
    this.#dispatches = 0;
    this.#bytes = 0;
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}

function isReady({ programs }: Entry): boolean {
  for (const { ready } of programs) if (!ready) return false;
  return true;
}
