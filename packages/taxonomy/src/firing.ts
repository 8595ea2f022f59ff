import { type Interval, bootstrapRatio, wilsonInterval } from "./statistics.ts";

/** SAE features of a run of tokens, in compressed rows: row r owns `counts[r]` entries of `indices` and `values`. */
export interface FiringBlock {
  /** Row of the {@link TokenTable} of each token. */
  readonly tokens: Int32Array;
  readonly counts: Int32Array;
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** Anything that yields the same blocks each time it is iterated. */
export type FiringBlocks = Iterable<FiringBlock> | AsyncIterable<FiringBlock>;

/** Where each token came from; masked tokens are in it too, since context windows show them. */
export interface TokenTable {
  readonly ids: Int32Array;
  /** Index into `documentIds`. */
  readonly documents: Int32Array;
  /** Number of the context, unique over the table. */
  readonly contexts: Int32Array;
  /** Position inside the context. */
  readonly positions: Int32Array;
  /** 0 keeps a token; every other reason leaves it out of all statistics. */
  readonly masks: Uint8Array;
  readonly documentIds: readonly string[];
}

/** How often each latent fires. */
export interface FiringCounts {
  /** Tokens on which each latent was above 0. */
  readonly firings: Float64Array;
  /** Unmasked tokens seen. */
  readonly tokens: number;
  /** Active latents, and tokens, by document. */
  readonly activeByDocument: Float64Array;
  readonly tokensByDocument: Float64Array;
}

/**
 * Counts firings over streamed blocks. Density of latent i is `firings[i] / tokens`: the share of unmasked tokens with f_i(x) > 0.
 */
export async function countFirings(
  blocks: FiringBlocks,
  latents: number,
  table: TokenTable,
): Promise<FiringCounts> {
  const firings = new Float64Array(latents);
  const activeByDocument = new Float64Array(table.documentIds.length);
  const tokensByDocument = new Float64Array(table.documentIds.length);
  let tokens = 0;
  for await (const block of blocks) {
    let entry = 0;
    for (let row = 0; row < block.tokens.length; row++) {
      const document = table.documents[block.tokens[row] ?? 0] ?? 0;
      const end = entry + (block.counts[row] ?? 0);
      let active = 0;
      for (; entry < end; entry++) {
        // An entry of exactly 0 is allocated, not firing: TopK keeps k entries even where fewer are positive.
        if (!((block.values[entry] ?? 0) > 0)) continue;
        const latent = block.indices[entry] ?? 0;
        firings[latent] = (firings[latent] ?? 0) + 1;
        active++;
      }
      activeByDocument[document] = (activeByDocument[document] ?? 0) + active;
      tokensByDocument[document] = (tokensByDocument[document] ?? 0) + 1;
      tokens++;
    }
  }
  return { firings, tokens, activeByDocument, tokensByDocument };
}

/** Density of every latent with Wilson's interval, which takes tokens as independent; see {@link documentDensity}. */
export function densities(counts: FiringCounts): Interval[] {
  return Array.from(counts.firings, (firings) => wilsonInterval(firings, counts.tokens));
}

/** All firings of one latent, by token, ascending. */
export interface FiringColumn {
  readonly tokens: Int32Array;
  readonly values: Float32Array;
}

/** Gathers the firings of a few latents; memory is 8 bytes a firing. */
export async function collectColumns(
  blocks: FiringBlocks,
  latents: Iterable<number>,
): Promise<Map<number, FiringColumn>> {
  const columns = new Map<number, ColumnBuilder>();
  for (const latent of latents) columns.set(latent, new ColumnBuilder());
  for await (const block of blocks) {
    let entry = 0;
    for (let row = 0; row < block.tokens.length; row++) {
      for (const end = entry + (block.counts[row] ?? 0); entry < end; entry++) {
        const value = block.values[entry] ?? 0;
        if (value > 0) columns.get(block.indices[entry] ?? 0)?.push(block.tokens[row] ?? 0, value);
      }
    }
  }
  return new Map([...columns].map(([latent, builder]) => [latent, builder.finish()]));
}

/** Density of one latent with an interval from resampling documents; with a single document, Wilson's over its tokens. */
export function documentDensity(
  column: FiringColumn,
  table: TokenTable,
  counts: FiringCounts,
  seed: number,
  stream: number,
): Interval {
  const firings = new Float64Array(table.documentIds.length);
  for (const token of column.tokens) {
    const document = table.documents[token] ?? 0;
    firings[document] = (firings[document] ?? 0) + 1;
  }
  if (firings.length < 2) return wilsonInterval(column.tokens.length, counts.tokens);
  return bootstrapRatio(firings, counts.tokensByDocument, { seed, stream, resamples: 400 });
}

/** Tokens on which both fire. Members of an antipodal pair exclude each other: 0. */
export function coFirings(a: FiringColumn, b: FiringColumn): number {
  let [left, right, both] = [0, 0, 0];
  while (left < a.tokens.length && right < b.tokens.length) {
    const difference = (a.tokens[left] ?? 0) - (b.tokens[right] ?? 0);
    if (difference === 0) both++;
    if (difference <= 0) left++;
    if (difference >= 0) right++;
  }
  return both;
}

class ColumnBuilder {
  #tokens = new Int32Array(256);
  #values = new Float32Array(256);
  #size = 0;

  push(token: number, value: number): void {
    if (this.#size === this.#tokens.length) {
      const [tokens, values] = [new Int32Array(2 * this.#size), new Float32Array(2 * this.#size)];
      tokens.set(this.#tokens);
      values.set(this.#values);
      [this.#tokens, this.#values] = [tokens, values];
    }
    this.#tokens[this.#size] = token;
    this.#values[this.#size++] = value;
  }

  finish(): FiringColumn {
    return { tokens: this.#tokens.slice(0, this.#size), values: this.#values.slice(0, this.#size) };
  }
}
