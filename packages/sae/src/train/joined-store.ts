import type {
  ActivationStore,
  Manifest,
  Shard,
  ShardRecord,
  ShardTokens,
  Split,
  TokenCounts,
} from "@latentkit/activations";
import { type LongCallOptions, MismatchError, throwIfAborted } from "@latentkit/core";

/**
 * Several sites of the same tokens as one: a store whose rows are the stores' rows side by side, for transcoders (the input's store, then the
 * target's) and crosscoders. A token is masked where any of the stores masks it. `shardBatches` and `heldOutRows` read it as they read
 * any store.
 *
 * Reads the tokens of every shard once, to see that they are the same everywhere.
 *
 * @throws MismatchError `STORES_DIFFER` where the stores hold other tokens, or cut them otherwise
 *
 * @example
 * const both = await joinStores([await openActivations("./mlp-in"), await openActivations("./mlp-out")]);
 * const batches = shardBatches(both, { seed: 0 });
 */
export async function joinStores(
  stores: readonly ActivationStore[],
  options: Pick<LongCallOptions, "signal"> = {},
): Promise<ActivationStore> {
  const [first, ...rest] = stores;
  if (first === undefined) throw differ("no store was given", "give at least one");
  const records: ShardRecord[] = [];
  for (const [index, record] of first.manifest.shards.entries()) {
    throwIfAborted(options.signal);
    const own = await first.readTokens(index, options);
    const masks = own.masks.slice();
    for (const other of rest) {
      if (other.manifest.shards.length !== first.manifest.shards.length)
        throw differ(
          `${first.name} has ${first.manifest.shards.length} shards, ${other.name} ${other.manifest.shards.length}`,
        );
      const theirs = await other.readTokens(index, options);
      checkSame(first, own, other, theirs, index);
      addMasks(masks, theirs.masks);
    }
    records.push({ ...record, kept: countKept(masks) });
  }
  return new JoinedStore(stores, first, records);
}

class JoinedStore implements ActivationStore {
  readonly name: string;
  readonly manifest: Manifest;
  readonly dIn: number;
  readonly #stores: readonly ActivationStore[];
  readonly #first: ActivationStore;

  constructor(
    stores: readonly ActivationStore[],
    first: ActivationStore,
    shards: readonly ShardRecord[],
  ) {
    this.#stores = stores;
    this.#first = first;
    this.name = stores.map(({ name }) => name).join(" + ");
    this.dIn = stores.reduce((sum, { dIn }) => sum + dIn, 0);
    const { counts } = first.manifest;
    const keptOf = (split: Split | null): number =>
      shards.reduce((sum, one) => sum + (split === null || one.split === split ? one.kept : 0), 0);
    const counted = (before: TokenCounts, split: Split): TokenCounts => ({
      ...before,
      kept: keptOf(split),
    });
    this.manifest = {
      ...first.manifest,
      site: stores.map(({ manifest }) => manifest.site).join(" + "),
      dIn: this.dIn,
      shards,
      counts: {
        ...counts,
        kept: keptOf(null),
        splits: {
          train: counted(counts.splits.train, "train"),
          "held-out": counted(counts.splits["held-out"], "held-out"),
        },
      },
    };
  }

  shards(split?: Split): readonly number[] {
    return this.#first.shards(split);
  }

  async readShard(index: number, options?: Pick<LongCallOptions, "signal">): Promise<Shard> {
    const own = await this.#first.readShard(index, options);
    const parts = [own];
    for (const store of this.#stores.slice(1)) parts.push(await store.readShard(index, options));
    const masks = own.masks.slice();
    for (const part of parts) addMasks(masks, part.masks);
    const rows = own.masks.length;
    const activations = new Float32Array(rows * this.dIn);
    let column = 0;
    for (const [at, { activations: part }] of parts.entries()) {
      const width = this.#stores[at]?.dIn ?? 0;
      for (let row = 0; row < rows; row++)
        activations.set(part.subarray(row * width, (row + 1) * width), row * this.dIn + column);
      column += width;
    }
    return { ...own, record: this.#record(index, own), masks, activations };
  }

  async readTokens(index: number, options?: Pick<LongCallOptions, "signal">): Promise<ShardTokens> {
    const own = await this.#first.readTokens(index, options);
    const masks = own.masks.slice();
    for (const store of this.#stores.slice(1))
      addMasks(masks, (await store.readTokens(index, options)).masks);
    return { ...own, record: this.#record(index, own), masks };
  }

  readDocuments(): ReturnType<ActivationStore["readDocuments"]> {
    return this.#first.readDocuments();
  }

  #record(index: number, { record }: ShardTokens): ShardRecord {
    return this.manifest.shards[index] ?? record;
  }
}

function addMasks(into: Uint8Array, masks: Uint8Array): void {
  for (const [row, reason] of masks.entries()) if (into[row] === 0) into[row] = reason;
}

function countKept(masks: Uint8Array): number {
  return masks.reduce((kept, reason) => kept + (reason === 0 ? 1 : 0), 0);
}

/** The columns of a shard that have to be equal. */
const sameColumns = ["tokens", "documents", "contexts", "positions"] as const;

function checkSame(
  first: ActivationStore,
  own: ShardTokens,
  other: ActivationStore,
  theirs: ShardTokens,
  shard: number,
): void {
  for (const name of sameColumns) {
    const [ours, given] = [own[name], theirs[name]];
    const at =
      ours.length === given.length ? ours.findIndex((value, row) => value !== given[row]) : -2;
    if (at === -1) continue;
    throw differ(
      at === -2
        ? `shard ${shard} of ${first.name} has ${ours.length} tokens, that of ${other.name} ${given.length}`
        : `${name} of row ${at} of shard ${shard} is ${ours[at]} in ${first.name} and ${given[at]} in ${other.name}`,
    );
  }
}

function differ(
  message: string,
  fix = "harvest the sites from the same text with the same packing, split and shard size",
): MismatchError {
  return new MismatchError({ code: "STORES_DIFFER", message, fix });
}
