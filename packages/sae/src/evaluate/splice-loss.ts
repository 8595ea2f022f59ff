import {
  ConfigError,
  type LongCallOptions,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { LanguageModel, RunResult, SiteEdit } from "@latentkit/models";
import { add, crossEntropy, type Device, klDivergence, mul, type Tensor } from "@latentkit/tensor";
import type { Sae } from "../sae.ts";
import { bootstrapInterval, type Interval } from "./bootstrap.ts";
import {
  type CalibratedMask,
  type ContextBatch,
  contextBatches,
  isKept,
  type SpliceContext,
} from "./context-batch.ts";
import { saePlace, type SaePlace, type SaePlaceOptions } from "./splice-site.ts";

/** How {@link spliceLoss} measures. */
export interface SpliceLossOptions extends LongCallOptions, SaePlaceOptions {
  /** The mask of the harvest: its policy, and the median norm from the manifest. */
  readonly mask: CalibratedMask;
  /** Contexts in a run of the model; 8 by default. */
  readonly batchSize?: number | undefined;
  /** Bootstrap resamples over documents; 1,000 by default. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/**
 * Losses in nats a token, averaged over the predictions made from unmasked positions; divergences KL(original || changed) in nats,
 * averaged over unmasked tokens.
 */
export interface SpliceResult {
  readonly site: string;
  readonly contexts: number;
  readonly documents: number;
  /** Predictions that the losses are averaged over. */
  readonly tokens: number;
  readonly cleanLoss: number;
  /** With x^ in the place of x at unmasked positions. */
  readonly splicedLoss: number;
  /** With zeros there. */
  readonly ablatedLoss: number;
  /** With the mean of the unmasked activations of these contexts there. */
  readonly meanAblatedLoss: number;
  /** splicedLoss - cleanLoss. */
  readonly delta: number;
  /** (ablatedLoss - splicedLoss) / (ablatedLoss - cleanLoss), against zero ablation, as SAELens has it. */
  readonly recovered: number;
  /** The same against mean ablation. */
  readonly recoveredFromMean: number;
  /** KL(original || spliced). */
  readonly kl: number;
  /** KL(original || zero-ablated). */
  readonly ablatedKl: number;
  readonly meanAblatedKl: number;
  /** (ablatedKl - kl) / ablatedKl, as SAELens has it. */
  readonly klScore: number;
  /** The same against mean ablation. */
  readonly klScoreFromMean: number;
  /** 95%, by bootstrap over documents; null for fewer than two. */
  readonly intervals: Readonly<
    Record<
      | "cleanLoss"
      | "delta"
      | "kl"
      | "klScore"
      | "klScoreFromMean"
      | "recovered"
      | "recoveredFromMean"
      | "splicedLoss",
      Interval | null
    >
  >;
}

/** What takes the activations' place. */
type Change = "ablated" | "mean" | "spliced";

/** What to put in the place of all rows of the reconstructed site, given them and those of the site that is read. */
type Changes = Readonly<Record<Change, (flat: Tensor, read: Tensor) => Tensor>>;

/** Sums by document; `tokens` counts predictions, `kept` unmasked tokens. */
type Sums = Record<"clean" | "kept" | "tokens" | Change | `kl:${Change}`, Float64Array>;

/**
 * What the SAE costs the language model: cross-entropy with reconstructions spliced in at one site, between the clean loss and
 * that of zero and of mean ablation, and how far the predictions move. Masked positions keep their own activations in every run.
 *
 * @throws ConfigError `SPLICE_SITE` without a site, `SPLICE_EMPTY` without contexts; MismatchError `SAE_WIDTH`; AbortedError
 */
export async function spliceLoss(
  model: LanguageModel,
  sae: Sae,
  contexts: readonly SpliceContext[],
  options: SpliceLossOptions,
): Promise<SpliceResult> {
  const { mask, batchSize = 8, resamples = 1000, seed = 0, signal, onProgress } = options;
  const place = saePlace(model, sae.config, options);
  if (contexts.length === 0) {
    throw new ConfigError({
      code: "SPLICE_EMPTY",
      message: "spliceLoss was given no contexts",
      fix: "give held-out contexts, for example those of storeContexts",
    });
  }
  const sums = new SpliceSums(contexts, place);
  const batches = contextBatches(contexts, batchSize);
  let done = 0;
  // The first pass ends at the site, so that most of the work is in the second, of four runs.
  const progress = async (count: number): Promise<void> => {
    done += count;
    const shown = Math.round(done);
    onProgress?.({ stage: "splice", done: shown, total: contexts.length, unit: "contexts" });
    await yieldToEventLoop();
  };

  const masks: Uint8Array[] = [];
  const sum = new Float64Array(sae.dOut);
  let kept = 0;
  for (const batch of batches) {
    throwIfAborted(signal);
    const { targets, norms } = await batch.read(model, place);
    const found = batch.mask(norms, mask);
    masks.push(found);
    for (let row = 0; row < batch.rows; row++) {
      if (!isKept(found, row)) continue;
      kept += 1;
      for (let column = 0; column < sum.length; column++)
        sum[column] = (sum[column] ?? 0) + (targets[row * sum.length + column] ?? 0);
    }
    await progress(batch.contexts.length / 5);
  }
  const mean = Float32Array.from(sum, (value) => value / Math.max(1, kept));
  const changes: Changes = {
    spliced: (_, read) => sae.reconstruct(read),
    ablated: ({ device, shape }) => device.zeros(shape),
    mean: ({ device, shape }) => add(device.zeros(shape), device.tensor(mean, [mean.length])),
  };
  for (const [index, batch] of batches.entries()) {
    throwIfAborted(signal);
    await sums.addBatch(model, batch, masks[index] ?? new Uint8Array(0), changes);
    await progress((4 * batch.contexts.length) / 5);
  }
  return sums.result(contexts.length, { resamples, seed });
}

/** The sums by document, and how they are gathered. */
class SpliceSums {
  readonly #place: SaePlace;
  readonly #places: ReadonlyMap<number, number>;
  readonly #sums: Sums;

  constructor(contexts: readonly SpliceContext[], place: SaePlace) {
    const documents = [...new Set(contexts.map(({ document }) => document))];
    this.#place = place;
    this.#places = new Map(documents.map((document, index) => [document, index]));
    const zeros = (): Float64Array => new Float64Array(documents.length);
    this.#sums = {
      tokens: zeros(),
      kept: zeros(),
      clean: zeros(),
      spliced: zeros(),
      ablated: zeros(),
      mean: zeros(),
      "kl:spliced": zeros(),
      "kl:ablated": zeros(),
      "kl:mean": zeros(),
    };
  }

  /** One batch's runs: clean, and with each change at unmasked positions. */
  async addBatch(
    model: LanguageModel,
    batch: ContextBatch,
    mask: Uint8Array,
    changes: Changes,
  ): Promise<void> {
    for (let row = 0; row < batch.rows; row++)
      if (isKept(mask, row)) this.#add("kept", batch.document(row), 1);
    using clean = model.run(batch.tokens);
    await this.#addLosses(model.device, clean, batch, mask, "clean");
    for (const change of ["spliced", "ablated", "mean"] as const) {
      const edit = editKept(this.#place, mask, changes[change]);
      using run = model.run(batch.tokens, { edits: [edit] });
      await this.#addLosses(model.device, run, batch, mask, change);
      await this.#addDivergences(model.device, clean, run, batch, mask, change);
    }
  }

  async #addLosses(
    device: Device,
    { logits }: RunResult,
    batch: ContextBatch,
    mask: Uint8Array,
    kind: Change | "clean",
  ): Promise<void> {
    if (logits === null) return;
    const { rows } = batch;
    // -1 where nothing is predicted: at masked positions, and at a context's last token.
    const targets = Int32Array.from({ length: rows }, (_, row) =>
      isKept(mask, row) ? batch.next(row) : -1,
    );
    using perRow = device.scope(() =>
      crossEntropy(logits.reshape([rows, logits.size / rows]), device.tensor(targets, [rows])),
    );
    for (const [row, loss] of (await perRow.floats()).entries()) {
      if ((targets[row] ?? -1) < 0) continue;
      const document = batch.document(row);
      this.#add(kind, document, loss);
      if (kind === "clean") this.#add("tokens", document, 1);
    }
  }

  async #addDivergences(
    device: Device,
    clean: RunResult,
    changed: RunResult,
    batch: ContextBatch,
    mask: Uint8Array,
    change: Change,
  ): Promise<void> {
    if (clean.logits === null || changed.logits === null) return;
    const { rows } = batch;
    const vocabulary = clean.logits.size / rows;
    using before = clean.logits.reshape([rows, vocabulary]);
    using after = changed.logits.reshape([rows, vocabulary]);
    // The divergence holds several matrices of its input's size.
    const size = Math.max(1, Math.floor(2 ** 22 / vocabulary));
    for (let start = 0; start < rows; start += size) {
      const end = Math.min(rows, start + size);
      using block = device.scope(() =>
        klDivergence(before.rows(start, end), after.rows(start, end)),
      );
      for (const [at, divergence] of (await block.floats()).entries()) {
        const row = start + at;
        if (isKept(mask, row)) this.#add(`kl:${change}`, batch.document(row), divergence);
      }
    }
  }

  #add(name: keyof Sums, document: number, value: number): void {
    const place = this.#places.get(document) ?? 0;
    this.#sums[name][place] = (this.#sums[name][place] ?? 0) + value;
  }

  result(
    contexts: number,
    options: { readonly resamples: number; readonly seed: number },
  ): SpliceResult {
    const documents = this.#sums.tokens.length;
    const all = this.#figures(new Uint32Array(documents).fill(1));
    // One set of resamples for all figures, so that the intervals belong together.
    const interval = (name: keyof typeof all): Interval | null =>
      bootstrapInterval(documents, (draws) => this.#figures(draws)[name], options);
    return {
      site: this.#place.site,
      contexts,
      documents,
      ...all,
      intervals: {
        cleanLoss: interval("cleanLoss"),
        splicedLoss: interval("splicedLoss"),
        delta: interval("delta"),
        recovered: interval("recovered"),
        recoveredFromMean: interval("recoveredFromMean"),
        kl: interval("kl"),
        klScore: interval("klScore"),
        klScoreFromMean: interval("klScoreFromMean"),
      },
    };
  }

  #figures(
    draws: Uint32Array,
  ): Omit<SpliceResult, "contexts" | "documents" | "intervals" | "site"> {
    const total = (name: keyof Sums): number =>
      this.#sums[name].reduce((sum, value, place) => sum + (draws[place] ?? 0) * value, 0);
    const [tokens, kept] = [total("tokens"), total("kept")];
    const cleanLoss = total("clean") / tokens;
    const splicedLoss = total("spliced") / tokens;
    const ablatedLoss = total("ablated") / tokens;
    const meanAblatedLoss = total("mean") / tokens;
    const kl = total("kl:spliced") / kept;
    const ablatedKl = total("kl:ablated") / kept;
    const meanAblatedKl = total("kl:mean") / kept;
    return {
      tokens,
      cleanLoss,
      splicedLoss,
      ablatedLoss,
      meanAblatedLoss,
      delta: splicedLoss - cleanLoss,
      recovered: (ablatedLoss - splicedLoss) / (ablatedLoss - cleanLoss),
      recoveredFromMean: (meanAblatedLoss - splicedLoss) / (meanAblatedLoss - cleanLoss),
      kl,
      ablatedKl,
      meanAblatedKl,
      klScore: (ablatedKl - kl) / ablatedKl,
      klScoreFromMean: (meanAblatedKl - kl) / meanAblatedKl,
    };
  }
}

/** An edit of unmasked positions alone. `replace` gets all rows, as `[rows, width]`. */
function editKept({ from, site }: SaePlace, mask: Uint8Array, replace: Changes[Change]): SiteEdit {
  const keep = Float32Array.from(mask, (_, row) => (isKept(mask, row) ? 1 : 0));
  const flatten = (value: Tensor): Tensor => value.reshape([keep.length, value.size / keep.length]);
  return {
    site,
    ...(from === site ? {} : { reads: [from] }),
    edit: (value, context) => {
      const { device } = value;
      const flat = flatten(value);
      const read = from === site ? flat : flatten(context.read(from));
      const chosen = device.tensor(keep, [keep.length, 1]);
      const others = device.tensor(
        keep.map((one) => 1 - one),
        [keep.length, 1],
      );
      return add(mul(replace(flat, read), chosen), mul(flat, others)).reshape(value.shape);
    },
  };
}
