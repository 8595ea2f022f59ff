import { throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import type { ActivationModel } from "./activation-model.ts";
import type { TextDocument } from "./document.ts";
import { computeMask, maskReasons } from "./mask.ts";
import { type Context, packDocument } from "./packing.ts";
import { runContexts, type SiteWidth } from "./run-contexts.ts";
import type { ResolvedSettings } from "./settings.ts";
import { type Split, splitOf } from "./split.ts";
import { keptRows } from "./store.ts";

/** A place in a text: a context of a document of one split. */
export interface TextCursor {
  /** Documents before it, those of the other split counted. */
  readonly document: number;
  /** Contexts of the document before it. */
  readonly context: number;
}

/** Where a text begins. */
export const textStart: TextCursor = { document: 0, context: 0 };

/** A site of a live model, with what its mask compares with. */
export interface LiveSiteState extends SiteWidth {
  readonly medianNorm: number;
}

/** Unmasked activations of neighbouring contexts at one site. */
export interface PoolRows {
  /** `[n, dIn]`. */
  readonly rows: Float32Array;
  /** For each row, which token of the pool it is: the same at every site. */
  readonly tokens: Int32Array;
}

/** What was run at a time. */
export interface LivePool {
  readonly sites: ReadonlyMap<string, PoolRows>;
  /** Tokens of all its contexts, masked ones too. */
  readonly tokens: number;
  readonly start: TextCursor;
  /** Where the next pool starts; null where the text has ended. */
  readonly next: TextCursor | null;
}

/** What pools are made of. */
export interface LivePoolsOptions extends Pick<LongCallOptions, "onProgress"> {
  readonly model: ActivationModel;
  readonly sites: readonly LiveSiteState[];
  readonly settings: ResolvedSettings;
  /** Starts from the first document, each time the same ones. */
  readonly documents: () => AsyncIterable<TextDocument> | Iterable<TextDocument>;
  readonly contextsPerPool: number;
}

/** Contexts of one split, each with its place. */
export interface PlacedContext {
  readonly context: Context;
  readonly split: Split;
  readonly place: TextCursor;
}

/** Cuts a text into contexts, from a place on, those of one split or of both. */
export async function* placedContexts(
  { documents, settings }: Pick<LivePoolsOptions, "documents" | "settings">,
  from: TextCursor,
  only?: Split,
): AsyncGenerator<PlacedContext, void, undefined> {
  const { tokenizer, packing, split: policy } = settings;
  let document = -1;
  for await (const one of documents()) {
    document += 1;
    // Without this, a long text of the other split would keep Ctrl-C from being heard.
    if (document % 64 === 63) await yieldToEventLoop();
    if (document < from.document) continue;
    const split = splitOf(one, policy);
    if (only !== undefined && split !== only) continue;
    const { contexts } = packDocument(tokenizer, one, document, packing);
    for (const [index, context] of contexts.entries()) {
      if (document === from.document && index < from.context) continue;
      yield { context, split, place: { document, context: index } };
    }
  }
}

/**
 * Pools of training contexts, run through the model once for all sites. The two newest are kept: those who read several sites in step
 * find them there.
 */
export class LivePools {
  readonly options: LivePoolsOptions;
  #kept: { readonly key: string; readonly pool: LivePool }[] = [];
  /** Goes on from the last pool without packing the text again. */
  #reader: { readonly at: string; readonly contexts: AsyncIterator<PlacedContext> } | null = null;
  #ahead: PlacedContext | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LivePoolsOptions) {
    this.options = options;
  }

  /**
   * The pool that starts at a place; empty where the text has no training context from there on. Calls are served one after another.
   *
   * @throws DeviceError `ACTIVATION_NOT_FINITE`; AbortedError `ABORTED`
   */
  async pool(from: TextCursor, signal?: AbortSignal): Promise<LivePool> {
    const before = this.#turn;
    const mine = before.catch(() => undefined).then(() => this.#find(from, signal));
    this.#turn = mine;
    return mine;
  }

  /** Lets go of the text's files and of the pools. */
  async close(): Promise<void> {
    await this.#turn.catch(() => undefined);
    this.#kept = [];
    await this.#closeReader();
  }

  async #find(from: TextCursor, signal: AbortSignal | undefined): Promise<LivePool> {
    const key = keyOf(from);
    const kept = this.#kept.find((one) => one.key === key);
    if (kept !== undefined) return kept.pool;
    // Let go of the older pool before the new one is made: they may be large.
    this.#kept = this.#kept.slice(-1);
    const pool = await this.#make(from, signal);
    this.#kept = [...this.#kept, { key, pool }];
    return pool;
  }

  async #make(from: TextCursor, signal: AbortSignal | undefined): Promise<LivePool> {
    const { contextsPerPool } = this.options;
    const contexts: Context[] = [];
    try {
      const reader = await this.#open(from);
      while (contexts.length < contextsPerPool) {
        throwIfAborted(signal);
        const placed = this.#ahead ?? (await take(reader));
        this.#ahead = null;
        if (placed === null) break;
        contexts.push(placed.context);
      }
      // One more tells whether this is the text's last pool, and where the next one starts.
      this.#ahead = contexts.length < contextsPerPool ? null : await take(reader);
      const next = this.#ahead?.place ?? null;
      this.#reader = next === null ? null : { at: keyOf(next), contexts: reader };
      return { ...(await this.#run(contexts, signal)), start: from, next };
    } catch (error) {
      await this.#closeReader();
      throw error;
    }
  }

  async #open(from: TextCursor): Promise<AsyncIterator<PlacedContext>> {
    if (this.#reader?.at === keyOf(from)) return this.#reader.contexts;
    await this.#closeReader();
    return placedContexts(this.options, from, "train");
  }

  async #closeReader(): Promise<void> {
    const reader = this.#reader;
    this.#reader = null;
    this.#ahead = null;
    await reader?.contexts.return?.();
  }

  async #run(
    contexts: readonly Context[],
    signal: AbortSignal | undefined,
  ): Promise<Pick<LivePool, "sites" | "tokens">> {
    const { model, sites, settings, onProgress } = this.options;
    const parts = sites.map((): { rows: Float32Array[]; tokens: number[] } => ({
      rows: [],
      tokens: [],
    }));
    let tokens = 0;
    for (let start = 0; start < contexts.length; start += settings.batchSize) {
      await yieldToEventLoop();
      throwIfAborted(signal);
      const batch = contexts.slice(start, start + settings.batchSize);
      const { sites: found, ...grid } = await runContexts(model, sites, batch);
      for (const [place, { medianNorm, dIn }] of sites.entries()) {
        const [site, part] = [found[place], parts[place]];
        if (site === undefined || part === undefined) continue;
        const mask = computeMask({ ...grid, ...site, medianNorm, policy: settings.mask });
        part.rows.push(keptRows(site.activations, mask, dIn));
        let before = tokens;
        for (const reason of mask) {
          if (reason === maskReasons.keep) part.tokens.push(before);
          if (reason !== maskReasons.padding) before += 1;
        }
      }
      tokens += batch.reduce((sum, { length }) => sum + length, 0);
      onProgress?.({
        stage: "run model",
        done: start + batch.length,
        total: contexts.length,
        unit: "contexts",
      });
    }
    return {
      tokens,
      sites: new Map(
        sites.map(({ site }, place) => [
          site,
          {
            rows: joined(parts[place]?.rows ?? []),
            tokens: Int32Array.from(parts[place]?.tokens ?? []),
          },
        ]),
      ),
    };
  }
}

async function take(reader: AsyncIterator<PlacedContext>): Promise<PlacedContext | null> {
  const step = await reader.next();
  return step.done === true ? null : step.value;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

function keyOf({ document, context }: TextCursor): string {
  return `${document} ${context}`;
}
