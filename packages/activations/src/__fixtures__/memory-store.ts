import { defaultMask } from "../mask.ts";
import { defaultPacking } from "../packing.ts";
import type { ShardRecord } from "../manifest.ts";
import { addCounts } from "../manifest.ts";
import type { Split } from "../split.ts";
import type { ActivationStore, Shard } from "../store.ts";

/** A shard to put into {@link memoryStore}: one mask reason a token. Rows are `[shard, row]`, so that each is known again. */
export interface MemoryShard {
  readonly split: Split;
  readonly masks: readonly number[];
}

/** A store of small made-up shards with `dIn` 2. `reads` lists the shards read. */
export function memoryStore(shards: readonly MemoryShard[]): ActivationStore & { readonly reads: number[] } {
  const records = shards.map(({ split, masks }, index): ShardRecord => {
    const count = (reason: number): number => masks.filter((mask) => mask === reason).length;
    const masked = { firstPosition: count(1), padding: 0, normOutlier: count(3) };
    const hash = "0".repeat(64);
    const counts = { contexts: 1, tokens: masks.length, kept: count(0), masked };
    return { file: `shard-${index}`, split, bytes: 0, sha256: hash, inputSha256: hash, ...counts };
  });
  const of = (split: Split) => addCounts(records.filter((record) => record.split === split));
  const reads: number[] = [];
  const readShard = (index: number): Promise<Shard> => {
    reads.push(index);
    const record = records[index];
    const masks = Uint8Array.from(shards[index]?.masks ?? []);
    if (record === undefined) return Promise.reject(new RangeError(`no shard ${index}`));
    const column = (): Int32Array => new Int32Array(masks.length);
    const activations = Float32Array.from({ length: masks.length * 2 }, (_, at) => (at % 2 === 0 ? index : at >> 1));
    const columns = { tokens: column(), documents: column(), contexts: column(), positions: column(), starts: column() };
    return Promise.resolve({ record, ...columns, ends: column(), turns: column(), roles: new Uint8Array(masks.length), masks, activations });
  };
  return {
    name: "memory",
    dIn: 2,
    reads,
    manifest: {
      schemaVersion: 1,
      kind: "activations",
      model: { name: "m", architecture: "a", weightsHash: "w" },
      site: "s",
      dIn: 2,
      tokenizer: { identity: "t", vocabularySize: 1 },
      dtype: "f32",
      packing: defaultPacking,
      mask: { ...defaultMask, calibrationContexts: 1, medianNorm: 1 },
      split: { heldOut: 0.1, seed: 0 },
      batchSize: 1,
      contextsPerShard: 1,
      maximumTokens: null,
      backend: { name: "b", matmul: "m", threads: 1, build: "1" },
      versions: {},
      roles: [],
      documents: { file: "d", sha256: "0", count: shards.length, empty: 0, droppedTokens: 0, inputSha256: "0", exhausted: true },
      counts: { ...addCounts(records), splits: { train: of("train"), "held-out": of("held-out") } },
      shards: records,
    },
    shards: (split) => records.flatMap((record, index) => (split === undefined || record.split === split ? [index] : [])),
    readShard,
    readTokens: readShard,
    readDocuments: () => Promise.resolve([]),
  };
}
