import { MismatchError, ShapeError } from "@latentkit/core";
import { copyInto, type Device, take, type Tensor } from "@latentkit/tensor";
import type { ModelConfig } from "./config.ts";

/** One layer's keys (rotated) and values, `[batch, capacity, kvHeads, dHead]`. */
export interface KvCacheLayer {
  /** Writes new keys from position `start` on; returns the tensor that holds all of them. */
  appendKeys(keys: Tensor, start: number): Tensor;
  /** Writes new values from position `start` on; returns the tensor that holds all of them. */
  appendValues(values: Tensor, start: number): Tensor;
}

/** Sizes of a {@link KvCache}. */
export interface KvCacheOptions {
  readonly device: Device;
  readonly config: ModelConfig;
  /** Sequences that go on together. */
  readonly batch: number;
  /** Positions that there is room for. */
  readonly capacity: number;
}

/**
 * Keys and values of the positions that a model has already read, so that a run computes only the new ones. Made by
 * `model.createCache`; whoever made it disposes it. A run that throws leaves `length` as it was, so it can be tried again.
 */
export class KvCache implements Disposable {
  readonly batch: number;
  readonly capacity: number;
  readonly layers: readonly KvCacheLayer[];
  readonly #options: KvCacheOptions;
  readonly #tensors: readonly Tensor[];
  #length = 0;
  #starts: readonly number[];

  constructor(options: KvCacheOptions) {
    const { device, config, batch, capacity } = options;
    this.#options = options;
    this.batch = batch;
    this.capacity = capacity;
    this.#starts = new Array<number>(batch).fill(0);
    const shape = [batch, capacity, config.kvHeads, config.dHead];
    const tensors: Tensor[] = [];
    this.#tensors = tensors;
    // The cache outlives whatever scope is open. Zeros, so that rows not yet written cannot hold NaN.
    const reserve = () => device.keep(device.zeros(shape));
    try {
      this.layers = Array.from({ length: config.layers }, () => {
        const keys = reserve();
        tensors.push(keys);
        const values = reserve();
        tensors.push(values);
        return {
          appendKeys: (added, start) => write(added, keys, start),
          appendValues: (added, start) => write(added, values, start),
        };
      });
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Positions already held, of the longest sequence; the others' include their padding. */
  get length(): number {
    return this.#length;
  }

  /** Of each sequence how many of the first positions are padding, which nobody sees. */
  get starts(): readonly number[] {
    return this.#starts;
  }

  /**
   * Forgets positions from `length` on, to go on another way from there.
   *
   * @throws ShapeError `CACHE_LENGTH` unless 0 <= length <= the present length, and where only some of the padding would be left
   */
  truncate(length: number): void {
    const least = Math.max(...this.#starts);
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      throw new ShapeError({
        code: "CACHE_LENGTH",
        message: `truncate(${length}) was called on a cache that holds ${this.#length} positions`,
        fix: `give an integer from 0 to ${this.#length}`,
      });
    }
    if (length > 0 && length < least) {
      throw new ShapeError({
        code: "CACHE_LENGTH",
        message: `truncate(${length}) was called on a cache with a sequence that begins at ${least}, after its padding`,
        fix: `give 0, or an integer from ${least} to ${this.#length}`,
      });
    }
    if (length === 0) this.#starts = this.#starts.map(() => 0);
    this.#length = length;
  }

  /**
   * Copies of some of its sequences, in the order given and any of them several times: one prompt read once and gone on with in
   * several ways. A cache of its own, which the caller disposes.
   *
   * @throws ShapeError `CACHE_ROWS` for none, or one that there is not
   */
  select(rows: readonly number[]): KvCache {
    const known = (row: number): boolean => Number.isInteger(row) && row >= 0 && row < this.batch;
    if (rows.length === 0 || !rows.every(known)) {
      throw new ShapeError({
        code: "CACHE_ROWS",
        message: `sequences ${rows.join(", ") || "(none)"} were asked for of a cache that holds ${this.batch}`,
        fix: `give at least one index from 0 to ${this.batch - 1}`,
      });
    }
    const picked = new KvCache({ ...this.#options, batch: rows.length });
    this.#options.device.scope(() => {
      for (const [index, target] of picked.#tensors.entries()) {
        const source = this.#tensors[index];
        if (source !== undefined)
          copyInto(take(source, rows, { axis: 0 }), target, { axis: 0, start: 0 });
      }
    });
    picked.#length = this.#length;
    picked.#starts = rows.map((row) => this.#starts[row] ?? 0);
    return picked;
  }

  /** Checks that `count` more positions of `batch` sequences fit. @internal */
  reserve(batch: number, count: number): void {
    if (batch !== this.batch) {
      throw new MismatchError({
        code: "CACHE_BATCH",
        message: `the run has ${batch} sequences and its cache was made for ${this.batch}`,
        fix: "make a cache with the run's batch size",
      });
    }
    if (this.#length + count > this.capacity) {
      throw new ShapeError({
        code: "CACHE_FULL",
        message: `${count} tokens were given to a cache that holds ${this.#length} and has room for ${this.capacity}`,
        fix: "make the cache with a larger capacity, or truncate it",
      });
    }
  }

  /** Records that `count` positions were written in every layer, and how many of the first are padding. @internal */
  advance(count: number, starts: readonly number[]): void {
    this.#length += count;
    this.#starts = starts;
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function write(added: Tensor, target: Tensor, start: number): Tensor {
  copyInto(added, target, { axis: 1, start });
  return target;
}
