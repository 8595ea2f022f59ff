import { ConfigError, ShapeError } from "@latentkit/core";
import type { Device, Tensor } from "@latentkit/tensor";
import type { ModelConfig } from "./config.ts";
import type { KvCache } from "./kv-cache.ts";

/** One sequence of a run, and where it lies on the `pos` axis of the run's tensors. */
export interface BatchRow {
  /** What edits know it by; its place in the batch, unless `rowIndices` said otherwise. */
  readonly index: number;
  /** Its token ids of this call. */
  readonly tokens: ArrayLike<number>;
  /** Place of its first token on the `pos` axis: more than 0 where the row is padded on the left. */
  readonly start: number;
  /** Place after its last token. */
  readonly end: number;
  /** Context position of its first token here: more than 0 where a KV cache holds earlier ones. */
  readonly position: number;
  /** How many tokens of the whole sequence are the prompt: those after it were generated. */
  readonly promptLength: number;
}

/** What {@link TokenBatch} is made of. */
export interface TokenBatchOptions {
  readonly tokens: readonly ArrayLike<number>[];
  readonly config: ModelConfig;
  readonly cache: KvCache | null;
  readonly padding: "left" | "right" | undefined;
  readonly rowIndices: readonly number[] | undefined;
  readonly promptLengths: readonly number[] | undefined;
}

/** What a forward pass needs of a batch, on the device. */
export interface BatchTensors {
  /** i32 `[batch, pos]`; padding is token 0. */
  readonly ids: Tensor;
  /** i32 `[batch * pos]`: context positions; of padding, any that there is. */
  readonly positions: Tensor;
  /** The same on the host. */
  readonly hostPositions: Int32Array;
  /** u8 `[batch, kLength]`, 0 for padding; null where there is none. */
  readonly keyMask: Tensor | null;
}

/** The token ids of a run, checked, with what is padding and what is not. */
export class TokenBatch {
  readonly rows: readonly BatchRow[];
  /** The `pos` axis: the longest row. */
  readonly length: number;
  /** Positions that the cache holds, padding included. */
  readonly startPosition: number;
  /** Padding before each row in the cache, this run's included. */
  readonly #starts: readonly number[];

  /**
   * @throws ShapeError `TOKENS_EMPTY`, `TOKENS_RAGGED`, `CONTEXT_OVERFLOW`; ConfigError `TOKEN_RANGE`, `PADDING_CACHE`,
   *   `RUN_ROWS`; what `KvCache.reserve` throws
   */
  constructor({ tokens, config, cache, padding, ...rest }: TokenBatchOptions) {
    checkRows(tokens, padding !== undefined);
    const { rowIndices = [], promptLengths = [] } = rest;
    checkCount("rowIndices", rest.rowIndices, tokens.length);
    checkCount("promptLengths", rest.promptLengths, tokens.length);
    this.length = tokens.reduce((longest, row) => Math.max(longest, row.length), 0);
    this.startPosition = cache?.length ?? 0;
    cache?.reserve(tokens.length, this.length);
    this.rows = tokens.map((row, place) => {
      const start = padding === "left" ? this.length - row.length : 0;
      return {
        index: rowIndices[place] ?? place,
        tokens: row,
        start,
        end: start + row.length,
        position: this.startPosition - (cache?.starts[place] ?? 0),
        promptLength: promptLengths[place] ?? Number.POSITIVE_INFINITY,
      };
    });
    if (cache !== null && tokens.some((row) => row.length < this.length))
      checkCachePadding(cache, padding);
    this.#starts = this.rows.map(({ start }, place) =>
      this.startPosition === 0 ? start : (cache?.starts[place] ?? 0),
    );
    checkTokens(this.rows, config);
  }

  /** Padding before each row, for the cache to keep. */
  get starts(): readonly number[] {
    return this.#starts;
  }

  /** Places of the rows' last tokens on the `pos` axis; null where that is the last place for all. */
  get lastPlaces(): readonly number[] | null {
    const padded = this.rows.some(({ end }) => end < this.length);
    return padded ? this.rows.map(({ end }) => end - 1) : null;
  }

  /** `[batch * pos]`: the context position of each token; of padding, any that there is. */
  get positions(): Int32Array<ArrayBuffer> {
    const { rows, length } = this;
    const positions = new Int32Array(rows.length * length);
    for (const [place, { start, position }] of rows.entries()) {
      for (let at = 0; at < length; at++)
        positions[place * length + at] = Math.max(0, position + at - start);
    }
    return positions;
  }

  /** Tokens of each row's whole sequence, those in the cache and those of this run. */
  get rowLengths(): readonly number[] {
    return this.rows.map(({ position, tokens }) => position + tokens.length);
  }

  /** Copies the batch to the device. */
  tensors(device: Device): BatchTensors {
    const { rows, length } = this;
    const ids = new Int32Array(rows.length * length);
    for (const [place, { tokens, start }] of rows.entries())
      ids.set(Int32Array.from(tokens), place * length + start);
    const hostPositions = this.positions;
    return {
      ids: device.tensor(ids, [rows.length, length]),
      positions: device.tensor(hostPositions, [ids.length]),
      hostPositions,
      keyMask: this.#keyMask(device),
    };
  }

  #keyMask(device: Device): Tensor | null {
    const { rows, length, startPosition } = this;
    if (this.#starts.every((start) => start === 0) && this.lastPlaces === null) return null;
    const kLength = startPosition + length;
    const mask = new Uint8Array(rows.length * kLength);
    for (const [place, { end }] of rows.entries()) {
      const from = place * kLength;
      mask.fill(1, from + (this.#starts[place] ?? 0), from + startPosition + end);
    }
    return device.tensor(mask, [rows.length, kLength]);
  }
}

function checkRows(tokens: readonly ArrayLike<number>[], padded: boolean): void {
  const length = tokens[0]?.length ?? 0;
  if (tokens.length === 0 || tokens.some((row) => row.length === 0)) {
    throw new ShapeError({
      code: "TOKENS_EMPTY",
      message:
        tokens.length === 0
          ? "a run was given no sequences"
          : "a run was given sequences without tokens",
      fix: "give at least one sequence of at least one token",
    });
  }
  const other = tokens.findIndex((row) => row.length !== length);
  if (padded || other < 0) return;
  throw new ShapeError({
    code: "TOKENS_RAGGED",
    message: `sequence ${other} has ${tokens[other]?.length} tokens and sequence 0 has ${length}`,
    fix: 'ask for padding: "left" or "right"',
  });
}

function checkCount(name: string, values: readonly number[] | undefined, rows: number): void {
  if (values === undefined || values.length === rows) return;
  throw new ConfigError({
    code: "RUN_ROWS",
    message: `${name} has ${values.length} numbers for ${rows} sequences`,
    fix: "give one number for each sequence",
  });
}

/** Places in the cache are one for all rows, and windows count them, so that no row may have a gap between its tokens. */
function checkCachePadding({ length }: KvCache, padding: "left" | "right" | undefined): void {
  if (length === 0 && padding === "left") return;
  throw new ConfigError({
    code: "PADDING_CACHE",
    message:
      length === 0
        ? 'sequences of different lengths were given to a cache with padding: "right", which leaves gaps before the tokens to come'
        : `sequences of different lengths were given to a cache that holds ${length} positions, which leaves gaps between their tokens`,
    fix: 'with a cache, pad the first run on the "left", and give one length to all sequences after it',
  });
}

function checkTokens(rows: readonly BatchRow[], { vocabulary, contextSize }: ModelConfig): void {
  for (const [row, { tokens, position: before }] of rows.entries()) {
    if (before + tokens.length > contextSize) {
      const cached = before > 0 ? ` after ${before} cached ones` : "";
      throw new ShapeError({
        code: "CONTEXT_OVERFLOW",
        message: `${tokens.length} tokens${cached} do not fit into the model's context of ${contextSize}`,
        fix: `give at most ${contextSize} tokens in all, for example by cutting the text into contexts`,
      });
    }
    for (let position = 0; position < tokens.length; position++) {
      const id = tokens[position];
      if (id !== undefined && Number.isInteger(id) && id >= 0 && id < vocabulary) continue;
      throw new ConfigError({
        code: "TOKEN_RANGE",
        message: `token ${id} at position ${position} of sequence ${row} is not in the vocabulary of ${vocabulary}`,
        fix: `give integers from 0 to ${vocabulary - 1}, from the tokenizer that belongs to the model`,
      });
    }
  }
}
