import { MismatchError, Random } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { z } from "zod";
import { type ActivationBatches, checkBatchSize } from "./batches.ts";
import { type LivePool, type LivePools, type PoolRows, textStart } from "./live-pools.ts";

/** Where a live stream stands: plain JSON. */
interface LiveState {
  readonly kind: "live";
  readonly site: string;
  readonly seed: number;
  readonly contextsPerPool: number;
  readonly epoch: number;
  /** Counts the pools of an epoch: a round serves rows of its own pool and of the one before. */
  readonly round: number;
  /** Rows of the round already served. */
  readonly offset: number;
  /** Where the older of the round's pools starts in the text. */
  readonly from: { readonly document: number; readonly context: number };
  /** Rows served in this epoch. */
  readonly served: number;
  /** Rows of a whole epoch, once one has ended. */
  readonly epochRows: number | null;
}

const count = z.int().nonnegative();
const stateSchema: z.ZodType<LiveState> = z.object({
  kind: z.literal("live"),
  site: z.string(),
  seed: z.int(),
  contextsPerPool: count,
  epoch: count,
  round: count,
  offset: count,
  from: z.object({ document: count, context: count }),
  served: count,
  epochRows: count.nullable(),
});

/** The rows of a round, in the order in which they are served. */
interface Round {
  readonly rows: Float32Array;
  readonly order: Uint32Array;
  readonly pool: LivePool;
}

/**
 * Batches of one site of a live model. Of each pool, about half of the rows are served in its own round and the others in the next
 * one, in random order, so that texts of different pools are mixed; a coin for each token decides, the same at every site. Where the
 * text ends, it begins again in another order. All of this is a function of the seed and the place in the text: restoring costs two
 * pools.
 */
export class LiveBatches implements ActivationBatches {
  readonly dIn: number;
  readonly #pools: LivePools;
  #state: LiveState;
  #loaded: { readonly key: string; readonly round: Round } | null = null;

  constructor(
    pools: LivePools,
    site: { readonly site: string; readonly dIn: number },
    seed: number,
  ) {
    this.#pools = pools;
    this.dIn = site.dIn;
    this.#state = {
      kind: "live",
      site: site.site,
      seed,
      contextsPerPool: pools.options.contextsPerPool,
      epoch: 0,
      round: 0,
      offset: 0,
      from: textStart,
      served: 0,
      epochRows: null,
    };
  }

  get uniqueTokens(): number {
    return this.#state.epochRows ?? Number.POSITIVE_INFINITY;
  }

  async next(
    batchSize: number,
    options: Pick<LongCallOptions, "signal"> = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    checkBatchSize(batchSize);
    const { dIn } = this;
    const batch = new Float32Array(batchSize * dIn);
    // A batch that fails half-way (abort, a model's fault) must not have moved the stream.
    const before = this.#state;
    try {
      let row = 0;
      while (row < batchSize) {
        const { rows, order, pool } = await this.#round(options.signal);
        const { offset } = this.#state;
        const taken = Math.min(batchSize - row, order.length - offset);
        for (let index = 0; index < taken; index++) {
          const from = (order[offset + index] ?? 0) * dIn;
          batch.set(rows.subarray(from, from + dIn), (row + index) * dIn);
        }
        row += taken;
        this.#move(taken, order.length, pool);
      }
    } catch (error) {
      this.#state = before;
      throw error;
    }
    return batch;
  }

  state(): LiveState {
    return this.#state;
  }

  restore(state: unknown): void {
    const parsed = stateSchema.safeParse(state);
    const { site, seed, contextsPerPool } = this.#state;
    if (
      parsed.success &&
      parsed.data.site === site &&
      parsed.data.seed === seed &&
      parsed.data.contextsPerPool === contextsPerPool
    ) {
      this.#state = parsed.data;
      return;
    }
    throw new MismatchError({
      code: "BATCHES_STATE",
      message: `state ${JSON.stringify(state)} is not one of live batches of ${site} with seed ${seed} and ${contextsPerPool} contexts at a time`,
      fix: "resume with the same site, seed and bufferTokens, or start anew",
      where: site,
    });
  }

  /** After `taken` rows of the round, on to the next round or epoch where there are no more. */
  #move(taken: number, rows: number, pool: LivePool): void {
    const served = this.#state.served + taken;
    const offset = this.#state.offset + taken;
    this.#state = { ...this.#state, offset, served };
    if (offset < rows) return;
    const { epoch, round, site } = this.#state;
    if (pool.next !== null) {
      this.#state = { ...this.#state, round: round + 1, offset: 0, from: pool.start };
      return;
    }
    if (served === 0) throw emptyError(site);
    this.#state = {
      ...this.#state,
      epoch: epoch + 1,
      round: 0,
      offset: 0,
      from: textStart,
      served: 0,
      epochRows: served,
    };
  }

  async #round(signal: AbortSignal | undefined): Promise<Round> {
    const { epoch, round, from } = this.#state;
    const key = `${epoch} ${round}`;
    if (this.#loaded?.key === key) return this.#loaded.round;
    this.#loaded = null;
    const first = await this.#pools.pool(from, signal);
    const older = round === 0 ? null : first;
    const pool = older === null ? first : await this.#pools.pool(older.next ?? from, signal);
    const loaded = { key, round: this.#mix(older, pool) };
    this.#loaded = loaded;
    return loaded.round;
  }

  #mix(older: LivePool | null, pool: LivePool): Round {
    const { seed, epoch, round, site } = this.#state;
    const key = new Random(seed, epoch).bits();
    const parts: { readonly from: PoolRows; readonly picked: number[] }[] = [];
    const pick = (from: LivePool, index: number, wanted: (late: boolean) => boolean): void => {
      const found = from.sites.get(site);
      if (found === undefined) return;
      const coins = new Random(key, 2 * index);
      const late = Array.from({ length: from.tokens }, () => coins.bits() >>> 31 === 1);
      const picked: number[] = [];
      for (const [row, token] of found.tokens.entries())
        if (wanted(late[token] ?? false)) picked.push(row);
      parts.push({ from: found, picked });
    };
    if (older !== null) pick(older, round - 1, (late) => late);
    // Nothing comes after the last pool that could serve its late rows.
    pick(pool, round, (late) => !late || pool.next === null);
    const total = parts.reduce((sum, { picked }) => sum + picked.length, 0);
    const rows = new Float32Array(total * this.dIn);
    let at = 0;
    for (const { from, picked } of parts) {
      for (const row of picked) {
        rows.set(from.rows.subarray(row * this.dIn, (row + 1) * this.dIn), at * this.dIn);
        at += 1;
      }
    }
    return { rows, order: new Random(key, 2 * round + 1).permutation(total), pool };
  }
}

function emptyError(site: string): MismatchError {
  return new MismatchError({
    code: "BATCHES_EMPTY",
    message: "the text has no unmasked token to make batches of",
    fix: "give more text, or a smaller held-out share if training is what came out empty",
    where: site,
  });
}
