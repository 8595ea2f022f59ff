import { ConfigError, MismatchError, Random, ShapeError } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { z } from "zod";
import { rowCount } from "./norms.ts";
import { keptRows } from "./store.ts";
import type { ActivationStore } from "./store.ts";
import type { Split } from "./split.ts";

/** Where batches over shards or an array stand: plain JSON, which {@link ActivationBatches.restore} takes back. */
export interface BatchesState {
  readonly seed: number;
  /** Rows in an epoch: a state fits only the data that it was taken from. */
  readonly rows: number;
  /** Rows that are mixed with each other at a time, by number of shards; 1 for an array. */
  readonly bufferShards: number;
  readonly epoch: number;
  readonly pool: number;
  /** Rows of the pool already served. */
  readonly offset: number;
}

/** An endless, shuffled stream of unmasked activations: every row once an epoch, each epoch in another order. */
export interface ActivationBatches {
  readonly dIn: number;
  /** Rows in an epoch, that is unmasked tokens; infinite for a live text that has not ended yet. */
  readonly uniqueTokens: number;
  /** The next rows as a new array `[batchSize, dIn]`, which the caller may keep. Batches run over ends of epochs. */
  next(
    batchSize: number,
    options?: Pick<LongCallOptions, "signal">,
  ): Promise<Float32Array<ArrayBuffer>>;
  /** Where it stands, as JSON. */
  state(): unknown;
  /** Continues bit for bit after the batch that `state` was taken after, whatever was served since. */
  restore(state: unknown): void;
}

/** How {@link shardBatches} reads. */
export interface ShardBatchesOptions {
  /** Which documents; training takes `"train"`, the default. */
  readonly split?: Split | undefined;
  /** Another seed, another order. */
  readonly seed: number;
  /** Shards that are held in memory and mixed with each other; at least 1, default 4. Memory: as many shards in f32. */
  readonly bufferShards?: number | undefined;
  /** In place of `bufferShards`: as many shards as take so many bytes in f32, and at least four. */
  readonly bufferBytes?: number | undefined;
}

/**
 * Batches over a folder of shards.
 *
 * Each epoch draws a new order of shards; `bufferShards` of them at a time are read into a pool, whose rows are served in random
 * order. So a batch mixes documents from all over the text, and memory stays bounded. The order is a function of the seed and
 * the position alone, so that restoring costs one pool.
 *
 * @throws MismatchError `BATCHES_EMPTY` where the split holds no unmasked token
 */
export function shardBatches(
  store: ActivationStore,
  options: ShardBatchesOptions,
): ActivationBatches {
  const { split = "train", seed, bufferBytes } = options;
  const { bufferShards = bufferBytes === undefined ? 4 : shardsWithin(store, bufferBytes) } =
    options;
  if (!Number.isSafeInteger(bufferShards) || bufferShards < 1) {
    throw new ConfigError({
      code: "BATCHES_BUFFER",
      message: `bufferShards ${bufferShards} is not a positive integer`,
      fix: "give the number of shards to mix, for example 4",
    });
  }
  const shards = store.shards(split);
  const pools = Math.ceil(shards.length / bufferShards);
  const kept = new Map(shards.map((index) => [index, store.manifest.shards[index]?.kept ?? 0]));
  return new ShuffledRows({
    name: `${store.name} (${split})`,
    dIn: store.dIn,
    rows: store.manifest.counts.splits[split].kept,
    seed,
    bufferShards,
    pools,
    async load(epoch, pool, signal) {
      const order = new Random(seed, epoch * (pools + 1)).permutation(shards.length);
      const members = Array.from(
        order.subarray(pool * bufferShards, (pool + 1) * bufferShards),
        (at) => shards[at] ?? 0,
      );
      const size = members.reduce((sum, index) => sum + (kept.get(index) ?? 0), 0);
      const rows = new Float32Array(size * store.dIn);
      let offset = 0;
      for (const index of members) {
        const shard = await store.readShard(index, { signal });
        const part = keptRows(shard.activations, shard.masks, store.dIn);
        rows.set(part, offset);
        offset += part.length;
      }
      return rows;
    },
  });
}

/** Shards of which any will fit into so many bytes, and at least four. */
function shardsWithin({ manifest, dIn }: ActivationStore, bytes: number): number {
  const largest = Math.max(1, ...manifest.shards.map(({ tokens }) => tokens));
  return Math.max(4, Math.floor(bytes / (largest * dIn * 4)));
}

/**
 * Batches over rows `[n, dIn]` in memory, every one of them: mask before. The array is not copied and must not change.
 *
 * @throws MismatchError `BATCHES_EMPTY`, ShapeError `SHAPE_ROWS`
 */
export function arrayBatches(data: Float32Array, dIn: number, seed: number): ActivationBatches {
  const rows = rowCount(data, dIn);
  return new ShuffledRows({
    name: "array",
    dIn,
    rows,
    seed,
    bufferShards: 1,
    pools: 1,
    load: () => Promise.resolve(data),
  });
}

/** Throws `ShapeError` `SHAPE_BATCH` unless rows are asked for. */
export function checkBatchSize(batchSize: number): void {
  if (Number.isSafeInteger(batchSize) && batchSize >= 1) return;
  throw new ShapeError({
    code: "SHAPE_BATCH",
    message: `a batch of ${batchSize} rows was asked for`,
    fix: "ask for a positive number of rows",
  });
}

interface RowSource {
  readonly name: string;
  readonly dIn: number;
  readonly rows: number;
  readonly seed: number;
  readonly bufferShards: number;
  /** Pools in an epoch. */
  readonly pools: number;
  load(epoch: number, pool: number, signal: AbortSignal | undefined): Promise<Float32Array>;
}

const stateSchema: z.ZodType<BatchesState> = z.object({
  seed: z.number().int(),
  rows: z.number().int().positive(),
  bufferShards: z.number().int().positive(),
  epoch: z.number().int().nonnegative(),
  pool: z.number().int().nonnegative(),
  offset: z.number().int().nonnegative(),
});

class ShuffledRows implements ActivationBatches {
  readonly #source: RowSource;
  #epoch = 0;
  #pool = 0;
  #offset = 0;
  #loaded: { epoch: number; pool: number; rows: Float32Array; order: Uint32Array } | null = null;

  constructor(source: RowSource) {
    this.#source = source;
    if (source.rows > 0) return;
    throw new MismatchError({
      code: "BATCHES_EMPTY",
      message: "there is no unmasked token to make batches of",
      fix: "harvest more text, or a smaller held-out share if training is what came out empty",
      where: source.name,
    });
  }

  get dIn(): number {
    return this.#source.dIn;
  }

  get uniqueTokens(): number {
    return this.#source.rows;
  }

  async next(
    batchSize: number,
    options: Pick<LongCallOptions, "signal"> = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    checkBatchSize(batchSize);
    const { dIn } = this.#source;
    const batch = new Float32Array(batchSize * dIn);
    // A batch that fails half-way (abort, a corrupt shard) must not have moved the stream.
    const before = this.state();
    try {
      let row = 0;
      while (row < batchSize) {
        const { rows, order } = await this.#current(options.signal);
        const served = Math.min(batchSize - row, order.length - this.#offset);
        for (const end = row + served; row < end; row++) {
          const from = (order[this.#offset++] ?? 0) * dIn;
          batch.set(rows.subarray(from, from + dIn), row * dIn);
        }
      }
    } catch (error) {
      this.restore(before);
      throw error;
    }
    return batch;
  }

  state(): BatchesState {
    const { seed, rows, bufferShards } = this.#source;
    return { seed, rows, bufferShards, epoch: this.#epoch, pool: this.#pool, offset: this.#offset };
  }

  restore(state: unknown): void {
    const { seed, rows, bufferShards, pools } = this.#source;
    const parsed = stateSchema.safeParse(state);
    const fits =
      parsed.success &&
      parsed.data.seed === seed &&
      parsed.data.rows === rows &&
      parsed.data.bufferShards === bufferShards &&
      parsed.data.pool < pools;
    if (!fits) {
      throw new MismatchError({
        code: "BATCHES_STATE",
        message: `state ${JSON.stringify(state)} is not one of batches over ${rows} rows with seed ${seed} and bufferShards ${bufferShards}`,
        fix: "resume with the same activations, seed and bufferShards, or start anew",
        where: this.#source.name,
      });
    }
    this.#epoch = parsed.data.epoch;
    this.#pool = parsed.data.pool;
    this.#offset = parsed.data.offset;
  }

  /** The pool that the next row comes from, read if it is not in memory. */
  async #current(
    signal: AbortSignal | undefined,
  ): Promise<{ rows: Float32Array; order: Uint32Array }> {
    const { dIn, pools, seed } = this.#source;
    for (;;) {
      let loaded = this.#loaded;
      if (loaded === null || loaded.epoch !== this.#epoch || loaded.pool !== this.#pool) {
        // Let the old pool go before the new one is read: they may be gigabytes.
        this.#loaded = null;
        const rows = await this.#source.load(this.#epoch, this.#pool, signal);
        const stream = this.#epoch * (pools + 1) + 1 + this.#pool;
        const order = new Random(seed, stream).permutation(rows.length / dIn);
        loaded = { epoch: this.#epoch, pool: this.#pool, rows, order };
        this.#loaded = loaded;
      }
      if (this.#offset < loaded.order.length) return loaded;
      this.#offset = 0;
      this.#pool = (this.#pool + 1) % pools;
      if (this.#pool === 0) this.#epoch += 1;
    }
  }
}
