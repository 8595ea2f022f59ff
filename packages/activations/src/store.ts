import type { LongCallOptions } from "@latentkit/core";
import type { Manifest, ShardRecord } from "./manifest.ts";
import type { Split } from "./split.ts";

/** What a shard knows about its tokens. Every array has one entry a token; a context's tokens are neighbours. */
export interface ShardTokens {
  readonly record: ShardRecord;
  /** Token ids. */
  readonly tokens: Int32Array;
  /** Index of the document, a line of `documents.jsonl`. */
  readonly documents: Int32Array;
  /** Index of the context, counted over both splits in the order of the text. */
  readonly contexts: Int32Array;
  /** Position in the context. */
  readonly positions: Int32Array;
  /** Span in the document's text (of a chat: in its rendered text), UTF-16 units, end exclusive. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** 0 for no role, else 1 + index into the manifest's `roles`. */
  readonly roles: Uint8Array;
  /** Index of the message; -1 for none. */
  readonly turns: Int32Array;
  /** One of `maskReasons`. */
  readonly masks: Uint8Array;
}

/** A whole shard. */
export interface Shard extends ShardTokens {
  /** `[tokens, dIn]`, f32 whatever the shard stores. */
  readonly activations: Float32Array;
}

/** A document, as the shards' index counts them. */
export interface DocumentRecord {
  readonly index: number;
  readonly id: string;
  readonly split: Split;
  /** Tokens of the whole text, BOS not counted. */
  readonly tokens: number;
  readonly contexts: number;
}

/** A complete folder of activation shards, opened for reading. */
export interface ActivationStore {
  /** The folder, or another name for messages. */
  readonly name: string;
  readonly manifest: Manifest;
  readonly dIn: number;
  /** Indices of shards, of one split or of all, in the order of the text. */
  shards(split?: Split): readonly number[];
  /** Reads a shard and, the first time, checks its sha256. */
  readShard(index: number, options?: Pick<LongCallOptions, "signal">): Promise<Shard>;
  /** Reads everything but the activations. */
  readTokens(index: number, options?: Pick<LongCallOptions, "signal">): Promise<ShardTokens>;
  /** The documents in order. */
  readDocuments(): Promise<readonly DocumentRecord[]>;
}

/** One context of a shard: rows `start .. end`. */
export interface ContextRange {
  readonly context: number;
  readonly document: number;
  readonly start: number;
  readonly end: number;
}

/** The contexts of a shard in order, which splicing and top-context tables walk. */
export function contextRanges(shard: Pick<ShardTokens, "contexts" | "documents">): ContextRange[] {
  const ranges: ContextRange[] = [];
  const { contexts, documents } = shard;
  let start = 0;
  for (let row = 1; row <= contexts.length; row++) {
    if (row < contexts.length && contexts[row] === contexts[start]) continue;
    ranges.push({
      context: contexts[start] ?? 0,
      document: documents[start] ?? 0,
      start,
      end: row,
    });
    start = row;
  }
  return ranges;
}

/** The rows of `activations [n, dIn]` that the mask keeps, as a new array. */
export function keptRows(
  activations: Float32Array,
  masks: Uint8Array,
  dIn: number,
): Float32Array<ArrayBuffer> {
  let rows = 0;
  for (const mask of masks) rows += mask === 0 ? 1 : 0;
  const kept = new Float32Array(rows * dIn);
  let row = 0;
  for (let index = 0; index < masks.length; index++) {
    if (masks[index] !== 0) continue;
    kept.set(activations.subarray(index * dIn, (index + 1) * dIn), row * dIn);
    row += 1;
  }
  return kept;
}
