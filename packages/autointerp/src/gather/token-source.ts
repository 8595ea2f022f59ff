import { type ActivationStore, contextRanges, type Split } from "@latentkit/activations";
import { ConfigError, yieldToEventLoop } from "@latentkit/core";
import { Sha256 } from "@latentkit/loaders";
import type { LanguageModel } from "@latentkit/models";
import { type CalibratedMask, contextRows, type SpliceContext } from "@latentkit/sae";

/** Tokens with their activations. A context's tokens are neighbours; padding is left out or masked. */
export interface TokenRows {
  /** `[n]`. */
  readonly tokens: Int32Array;
  /** `[n, dIn]`. */
  readonly activations: Float32Array;
  /** One of `maskReasons` each. */
  readonly masks: ArrayLike<number>;
  /** Number of the context, counted over the whole text. */
  readonly contexts: Int32Array;
  readonly documents: Int32Array;
}

/** A text with its activations, in pieces that can be asked for from any one on: what a gathering that was stopped needs. */
export interface TokenSource {
  /** What the activations are of, for messages and records. */
  readonly site: string;
  readonly dIn: number;
  readonly pieces: number;
  /** Equal for equal text, model, site and mask: a gathering goes on only with the source that it began with. */
  readonly identity: string;
  read(from: number): AsyncIterable<TokenRows>;
}

/** How {@link modelTokens} reads. */
export interface ModelTokensOptions {
  readonly site: string;
  readonly mask: CalibratedMask;
  /** Contexts in a run of the model, and in a piece; 8 by default. */
  readonly batchSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Contexts with the activations of a live model.
 *
 * @throws ConfigError `GATHER_EMPTY`, `SITE_UNKNOWN`
 */
export function modelTokens(
  model: LanguageModel,
  contexts: readonly SpliceContext[],
  { site, mask, batchSize = 8, signal }: ModelTokensOptions,
): TokenSource {
  const { name, width } = model.site(site);
  if (contexts.length === 0) throw emptyError("no contexts were given");
  const hash = new Sha256().update(
    JSON.stringify({ model: model.identity().weightsHash, site: name, mask, batchSize }),
  );
  for (const { tokens, length, document } of contexts)
    hash.update(JSON.stringify([document, Array.from({ length }, (_, at) => tokens[at])]));
  return {
    site: name,
    dIn: width,
    pieces: Math.ceil(contexts.length / batchSize),
    identity: hash.hex(),
    async *read(from) {
      for (let first = from * batchSize; first < contexts.length; first += batchSize) {
        const batch = contexts.slice(first, first + batchSize);
        const long = Math.max(...batch.map(({ length }) => length));
        for await (const rows of contextRows(model, batch, {
          site: name,
          mask,
          batchSize,
          signal,
        })) {
          const count = rows.activations.length / width;
          const at = <T>(row: number, value: (context: SpliceContext, position: number) => T): T =>
            value(
              batch[Math.floor(row / long)] ?? { tokens: [], length: 0, document: 0 },
              row % long,
            );
          yield {
            activations: rows.activations,
            masks: rows.masks ?? new Uint8Array(count),
            tokens: Int32Array.from({ length: count }, (_, row) =>
              at(row, ({ tokens, length }, position) =>
                position < length ? (tokens[position] ?? 0) : 0,
              ),
            ),
            contexts: Int32Array.from(
              { length: count },
              (_, row) => first + Math.floor(row / long),
            ),
            documents: Int32Array.from({ length: count }, (_, row) =>
              at(row, ({ document }) => document),
            ),
          };
        }
        await yieldToEventLoop();
      }
    },
  };
}

/**
 * A folder of activation shards; a piece is a shard.
 *
 * @throws ConfigError `GATHER_EMPTY`
 */
export function storeTokens(
  store: ActivationStore,
  options: {
    readonly split?: Split | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): TokenSource {
  const { split = "held-out", signal } = options;
  const shards = store.shards(split);
  if (shards.length === 0) throw emptyError(`the ${split} part of ${store.name} has no shards`);
  const hash = new Sha256();
  for (const index of shards) hash.update(store.manifest.shards[index]?.sha256 ?? "");
  return {
    site: store.manifest.site,
    dIn: store.dIn,
    pieces: shards.length,
    identity: hash.hex(),
    async *read(from) {
      for (const index of shards.slice(from)) yield await store.readShard(index, { signal });
    },
  };
}

function emptyError(what: string): ConfigError {
  return new ConfigError({
    code: "GATHER_EMPTY",
    message: `${what}, so there is nothing to gather examples from`,
    fix: "give more text, or the other part of the harvest",
  });
}

/** Rows `start .. end` of one context, padding left out. */
export interface ContextSpan {
  readonly context: number;
  readonly document: number;
  readonly start: number;
  readonly end: number;
}

/** The contexts of a piece, in order. */
export function spansOf(rows: TokenRows, padding: number): ContextSpan[] {
  return contextRanges(rows).flatMap((range) => {
    let { end } = range;
    while (end > range.start && rows.masks[end - 1] === padding) end -= 1;
    return end > range.start ? [{ ...range, end }] : [];
  });
}
