import { type ActivationStore, keptRows, type Split } from "@latentkit/activations";
import {
  type LongCallOptions,
  MismatchError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { Sae } from "@latentkit/sae";
import { slice } from "@latentkit/tensor";
import type { FiringBlock, TokenTable } from "../firing.ts";
import { CovarianceAccumulator } from "../principal-components.ts";

/** Entries kept on the host for a second reading: 12 bytes each. */
const cachedEntries = 24_000_000;

/** What {@link StoreFirings.open} reads. */
export interface StoreFiringsOptions extends LongCallOptions {
  readonly sae: Sae;
  readonly store: ActivationStore;
  readonly split: Split;
  /** Stop after the shard in which this many unmasked tokens are reached. */
  readonly maximumTokens: number;
}

/**
 * The features of a store's unmasked tokens, block by block. The first reading encodes, takes the covariance along and keeps what
 * fits in memory; later readings encode the rest again.
 */
export class StoreFirings {
  readonly table: TokenTable;
  readonly shards: readonly number[];
  readonly covariance: CovarianceAccumulator;
  readonly #options: StoreFiringsOptions;
  readonly #offsets: readonly number[];
  readonly #cache = new Map<number, readonly FiringBlock[]>();
  #room = cachedEntries;
  #first = true;

  private constructor(
    options: StoreFiringsOptions,
    table: TokenTable,
    shards: readonly number[],
    offsets: readonly number[],
  ) {
    this.#options = options;
    this.table = table;
    this.shards = shards;
    this.#offsets = offsets;
    this.covariance = new CovarianceAccumulator(options.sae.config.dIn);
  }

  /** Reads where tokens came from. Throws MismatchError `ATLAS_NO_TOKENS` when the split keeps none. */
  static async open(options: StoreFiringsOptions): Promise<StoreFirings> {
    const { store, split, signal } = options;
    const documents = await store.readDocuments();
    const parts: {
      readonly shard: number;
      readonly tokens: Awaited<ReturnType<ActivationStore["readTokens"]>>;
    }[] = [];
    let kept = 0;
    for (const shard of store.shards(split)) {
      if (kept >= options.maximumTokens) break;
      const tokens = await store.readTokens(shard, { signal });
      kept += tokens.record.kept;
      parts.push({ shard, tokens });
    }
    if (kept === 0) {
      throw new MismatchError({
        code: "ATLAS_NO_TOKENS",
        message: `the ${split} part of ${store.name} has no unmasked token`,
        fix: "harvest more documents, or a larger held-out share",
        where: store.name,
      });
    }
    const size = parts.reduce((sum, part) => sum + part.tokens.tokens.length, 0);
    const numbers = new Map<number, number>();
    const documentIds: string[] = [];
    const table = {
      ids: new Int32Array(size),
      documents: new Int32Array(size),
      contexts: new Int32Array(size),
      positions: new Int32Array(size),
      masks: new Uint8Array(size),
      documentIds,
    };
    const offsets: number[] = [];
    let offset = 0;
    for (const { tokens } of parts) {
      offsets.push(offset);
      table.ids.set(tokens.tokens, offset);
      table.contexts.set(tokens.contexts, offset);
      table.positions.set(tokens.positions, offset);
      table.masks.set(tokens.masks, offset);
      // Documents are counted anew: only those with tokens here are units of the bootstrap.
      for (const [row, document] of tokens.documents.entries()) {
        let number = numbers.get(document);
        if (number === undefined) {
          number = numbers.size;
          numbers.set(document, number);
          table.documentIds.push(documents[document]?.id ?? String(document));
        }
        table.documents[offset + row] = number;
      }
      offset += tokens.tokens.length;
    }
    return new StoreFirings(
      options,
      table,
      parts.map(({ shard }) => shard),
      offsets,
    );
  }

  /** All blocks in order. `stage` names the reading in progress events. */
  async *blocks(stage: string): AsyncGenerator<FiringBlock, void, undefined> {
    const first = this.#first;
    for (const [place, shard] of this.shards.entries()) {
      throwIfAborted(this.#options.signal);
      const cached = this.#cache.get(shard);
      if (cached !== undefined) yield* cached;
      else yield* this.#encode(shard, this.#offsets[place] ?? 0, first);
      this.#options.onProgress?.({
        stage,
        done: place + 1,
        total: this.shards.length,
        unit: "shards",
      });
      await yieldToEventLoop();
    }
    this.#first = false;
  }

  async *#encode(
    index: number,
    offset: number,
    first: boolean,
  ): AsyncGenerator<FiringBlock, void, undefined> {
    const { sae, store, signal } = this.#options;
    const { dIn, dSae } = sae.config;
    const shard = await store.readShard(index, { signal });
    const rows = keptRows(shard.activations, shard.masks, dIn);
    const places: number[] = [];
    for (const [row, mask] of shard.masks.entries()) if (mask === 0) places.push(offset + row);
    const size = Math.min(1024, Math.max(16, Math.floor(2 ** 23 / dSae)));
    const kept: FiringBlock[] = [];
    let entries = 0;
    for (let start = 0; start < places.length; start += size) {
      throwIfAborted(signal);
      const end = Math.min(places.length, start + size);
      const data = rows.subarray(start * dIn, end * dIn);
      if (first) await this.covariance.add(sae.device, { data, count: end - start, width: dIn });
      const block = await encodeBlock(sae, data, Int32Array.from(places.slice(start, end)));
      entries += block.indices.length;
      kept.push(block);
      yield block;
    }
    if (!first || entries > this.#room) return;
    this.#room -= entries;
    this.#cache.set(index, kept);
  }
}

/** Encodes rows and brings their entries to the host, without the unused capacity. */
async function encodeBlock(sae: Sae, data: Float32Array, tokens: Int32Array): Promise<FiringBlock> {
  const { device, config } = sae;
  using x = device.tensor(data, [tokens.length, config.dIn]);
  using rows = sae.encode(x);
  const counts = await rows.counts.integers();
  const widest = counts.reduce((most, count) => Math.max(most, count), 0);
  if (widest === 0)
    return { tokens, counts, indices: new Int32Array(0), values: new Float32Array(0) };
  using someIndices = slice(rows.indices, { axis: 1, start: 0, end: widest });
  using someValues = slice(rows.values, { axis: 1, start: 0, end: widest });
  const [wideIndices, wideValues] = [await someIndices.integers(), await someValues.floats()];
  const total = counts.reduce((sum, count) => sum + count, 0);
  const [indices, values] = [new Int32Array(total), new Float32Array(total)];
  let entry = 0;
  for (const [row, count] of counts.entries()) {
    indices.set(wideIndices.subarray(row * widest, row * widest + count), entry);
    values.set(wideValues.subarray(row * widest, row * widest + count), entry);
    entry += count;
  }
  return { tokens, counts, indices, values };
}
