import {
  ConfigError,
  type LongCallOptions,
  MismatchError,
  ShapeError,
  throwIfAborted,
  toF16Bits,
} from "@latentkit/core";
import { writeFileAtomic } from "@latentkit/loaders/node";
import { createHash } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Split } from "../../split.ts";
import { type ActivationStore, contextRanges } from "../../store.ts";
import { writeError } from "../write-error.ts";
import type { ArrowField } from "./arrow-schema.ts";
import { batchMessage, endOfStream, schemaMessage } from "./arrow-stream.ts";
import { infoFile, stateFile, tokensColumn } from "./open-cache.ts";

/** Whole contexts of one size, for {@link writeSaeLensCache}. */
export interface CacheContexts {
  /** `[contexts * contextSize, dIn]`. */
  readonly activations: Float32Array;
  /** `[contexts * contextSize]`. */
  readonly tokens: Int32Array;
}

/** Where the contexts come from, in pieces of a file each, and what they are. */
export interface CacheSource {
  /** As SAELens names the site, for example `"blocks.3.hook_resid_post"`. */
  readonly hookName: string;
  readonly contextSize: number;
  readonly dIn: number;
  /** How many pieces there will be: the names of files say so. */
  readonly files: number;
  pieces(signal?: AbortSignal): AsyncIterable<CacheContexts> | Iterable<CacheContexts>;
}

/** Options of {@link writeSaeLensCache}. */
export interface WriteSaeLensCacheOptions extends LongCallOptions {
  /** A folder that is empty, or not there yet. */
  readonly folder: string;
  /** `"float32"` if left out. */
  readonly dtype?: "float16" | "float32" | undefined;
  /** Which documents of a folder of shards; all if left out. */
  readonly split?: Split | undefined;
}

/** What was written. */
export interface WrittenCache {
  readonly files: number;
  /** Contexts that are in it. */
  readonly contexts: number;
  /** Contexts that were left out, since rows of a cache have one size: ends of documents. */
  readonly dropped: number;
}

/** Contexts in a record batch, at most: as many as `datasets` takes. */
const batchContexts = 1000;

/**
 * Writes activations as SAELens's `cached_activations_path` reads them: from a folder of shards, of which whole contexts go in and
 * shorter ones are left out, or from any source of whole contexts. The mask does not go with them: SAELens trains on all tokens of a cache.
 *
 * `state.json` is written last, so that a folder with one is complete. After a kill, remove the folder and write it again: the same
 * activations give the same bytes.
 *
 * @throws ConfigError `CACHE_FOLDER` for a folder that is not empty; MismatchError `CACHE_EMPTY` without a whole context; ShapeError
 *   `CACHE_SHAPE`; IoError `DISK_FULL`, `FILE_DENIED`; AbortedError
 */
export async function writeSaeLensCache(
  from: ActivationStore | CacheSource,
  options: WriteSaeLensCacheOptions,
): Promise<WrittenCache> {
  const { folder, dtype = "float32", split, signal, onProgress } = options;
  throwIfAborted(signal);
  await emptyFolder(folder);
  const [source, dropped] =
    "readShard" in from ? await shardContexts(from, split, signal) : [from, 0];
  if (source.files === 0) {
    throw new MismatchError({
      code: "CACHE_EMPTY",
      message: `there is no context of ${source.contextSize} tokens to write`,
      fix: "harvest longer texts, or smaller contexts",
      where: folder,
    });
  }
  const table = cacheTable(source, dtype);
  const hash = createHash("sha256");
  const names: string[] = [];
  let contexts = 0;
  for await (const piece of source.pieces(signal)) {
    throwIfAborted(signal, "unfinished files are left in the folder");
    contexts += checkPiece(piece, source);
    const name = `data-${digits(names.length)}-of-${digits(source.files)}.arrow`;
    hash.update(table.schema);
    await writeFileAtomic(join(folder, name), tableBytes(table, piece, source, hash), { signal });
    names.push(name);
    onProgress?.({ stage: "cache", done: names.length, total: source.files, unit: "files" });
  }
  if (names.length !== source.files) {
    throw new ShapeError({
      code: "CACHE_SHAPE",
      message: `the source gave ${names.length} pieces, and said that there would be ${source.files}`,
      fix: "give as many pieces as `files` says",
      where: folder,
    });
  }
  await writeFileAtomic(join(folder, infoFile), json(table.info), { signal });
  const state = {
    _data_files: names.map((filename) => ({ filename })),
    _fingerprint: hash.digest("hex").slice(0, 16),
    _format_columns: null,
    _format_kwargs: {},
    _format_type: null,
    _output_all_columns: false,
    _split: null,
  };
  await writeFileAtomic(join(folder, stateFile), json(state), { signal });
  return { files: names.length, contexts, dropped };
}

interface CacheTable {
  readonly dtype: "float16" | "float32";
  readonly info: unknown;
  /** The first message of each file. */
  readonly schema: Uint8Array<ArrayBuffer>;
}

/** The table's columns, as `datasets` describes `Array2D` and a list of token ids. */
function cacheTable(
  { hookName, contextSize, dIn }: CacheSource,
  dtype: "float16" | "float32",
): CacheTable {
  const features = {
    [hookName]: { shape: [contextSize, dIn], dtype, _type: "Array2D" },
    [tokensColumn]: {
      feature: { dtype: "int32", _type: "Value" },
      length: contextSize,
      _type: "List",
    },
  };
  const item = (type: ArrowField["type"], children: readonly ArrowField[] = []): ArrowField => ({
    name: "item",
    type,
    children,
    metadata: {},
  });
  const numbers = item({ kind: "float", bits: dtype === "float16" ? 16 : 32 });
  const fields: ArrowField[] = [
    {
      name: hookName,
      type: { kind: "list" },
      children: [item({ kind: "list" }, [numbers])],
      metadata: {
        "ARROW:extension:metadata": JSON.stringify([[contextSize, dIn], dtype]),
        "ARROW:extension:name": "datasets.features.features.Array2DExtensionType",
      },
    },
    {
      name: tokensColumn,
      type: { kind: "fixed-size-list", size: contextSize },
      children: [item({ kind: "int", bits: 32, signed: true })],
      metadata: {},
    },
  ];
  return {
    dtype,
    info: { citation: "", description: "", features, homepage: "", license: "" },
    schema: schemaMessage(fields, { huggingface: JSON.stringify({ info: { features } }) }),
  };
}

/** A file's bytes, piece by piece; its contents go into the hash. */
function* tableBytes(
  { schema, dtype }: CacheTable,
  { activations, tokens }: CacheContexts,
  { contextSize, dIn }: CacheSource,
  hash: ReturnType<typeof createHash>,
): Generator<Uint8Array, void, undefined> {
  yield schema;
  const contexts = tokens.length / contextSize;
  for (let start = 0; start < contexts; start += batchContexts) {
    const rows = Math.min(batchContexts, contexts - start);
    const count = rows * contextSize;
    const first = start * contextSize;
    const values = activations.subarray(first * dIn, (first + count) * dIn);
    const numbers =
      dtype === "float32" ? bytesOf(values) : bytesOf(Uint16Array.from(values, toF16Bits));
    const ids = bytesOf(tokens.subarray(first, first + count));
    hash.update(numbers).update(ids);
    const none = new Uint8Array(0);
    yield* batchMessage(
      rows,
      [rows, count, count * dIn, rows, count],
      [none, offsets(rows, contextSize), none, offsets(count, dIn), none, numbers, none, none, ids],
    );
  }
  yield endOfStream();
}

/** Where lists of one size start and end. */
function offsets(lists: number, size: number): Uint8Array<ArrayBuffer> {
  return bytesOf(Int32Array.from({ length: lists + 1 }, (_, index) => index * size));
}

/** Little-endian bytes of an array, which is what this machine's are where Node runs. */
function bytesOf(values: Float32Array | Int32Array | Uint16Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.byteLength);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return bytes;
}

/** Whole contexts of a folder of shards, and how many are shorter. */
async function shardContexts(
  store: ActivationStore,
  split: Split | undefined,
  signal: AbortSignal | undefined,
): Promise<[CacheSource, number]> {
  const { contextSize } = store.manifest.packing;
  const whole = (range: { readonly start: number; readonly end: number }) =>
    range.end - range.start === contextSize;
  const shards: number[] = [];
  let dropped = 0;
  for (const shard of store.shards(split)) {
    throwIfAborted(signal);
    // eslint-disable-next-line no-await-in-loop -- a shard in memory at a time
    const ranges = contextRanges(await store.readTokens(shard, { signal }));
    const kept = ranges.filter(whole).length;
    dropped += ranges.length - kept;
    if (kept > 0) shards.push(shard);
  }
  async function* pieces(inner?: AbortSignal): AsyncGenerator<CacheContexts, void, undefined> {
    for (const index of shards) {
      // eslint-disable-next-line no-await-in-loop -- likewise
      const shard = await store.readShard(index, { signal: inner });
      const ranges = contextRanges(shard).filter(whole);
      const activations = new Float32Array(ranges.length * contextSize * store.dIn);
      const tokens = new Int32Array(ranges.length * contextSize);
      for (const [place, { start, end }] of ranges.entries()) {
        const at = place * contextSize;
        tokens.set(shard.tokens.subarray(start, end), at);
        activations.set(
          shard.activations.subarray(start * store.dIn, end * store.dIn),
          at * store.dIn,
        );
      }
      yield { activations, tokens };
    }
  }
  const { site, dIn } = store.manifest;
  return [{ hookName: site, contextSize, dIn, files: shards.length, pieces }, dropped];
}

/** @throws ShapeError `CACHE_SHAPE` */
function checkPiece(
  { activations, tokens }: CacheContexts,
  { contextSize, dIn }: CacheSource,
): number {
  const contexts = tokens.length / contextSize;
  if (Number.isInteger(contexts) && contexts > 0 && activations.length === tokens.length * dIn)
    return contexts;
  throw new ShapeError({
    code: "CACHE_SHAPE",
    message: `a piece has ${tokens.length} tokens and ${activations.length} numbers, and contexts are of ${contextSize} tokens of ${dIn}`,
    fix: "give whole contexts, at least one a piece, with dIn numbers for each token",
  });
}

async function emptyFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw writeError(folder, error);
  }
  const [first] = await readdir(folder);
  if (first === undefined) return;
  throw new ConfigError({
    code: "CACHE_FOLDER",
    message: `the folder for the cache is not empty: it holds ${first}`,
    fix: "give another folder, or remove this one",
    where: folder,
  });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function digits(number: number): string {
  return String(number).padStart(5, "0");
}
