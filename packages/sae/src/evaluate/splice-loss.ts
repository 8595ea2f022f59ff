import {
  computeMask,
  contextGrid,
  type MaskPolicy,
  maskReasons,
  rowNorms,
} from "@latentkit/activations";
import {
  ConfigError,
  type LongCallOptions,
  MismatchError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { EditFunction, LanguageModel } from "@latentkit/models";
import { add, crossEntropy, type Device, mul, type Tensor } from "@latentkit/tensor";
import type { Sae } from "../sae.ts";
import { checkWidth } from "../weights.ts";
import { bootstrapInterval, type Interval } from "./bootstrap.ts";

/** A context to measure the loss on, as `Context` of `@latentkit/activations` or `storeContexts` has it. */
export interface SpliceContext {
  readonly tokens: ArrayLike<number>;
  /** Tokens that are not padding. */
  readonly length: number;
  /** Which document it is from. */
  readonly document: number;
}

/** How {@link spliceLoss} measures. */
export interface SpliceLossOptions extends LongCallOptions {
  /** By default the one that the SAE's metadata names. */
  readonly site?: string | undefined;
  /** The mask of the harvest: its policy, and the median norm from the manifest. */
  readonly mask: MaskPolicy & { readonly medianNorm: number };
  /** Contexts in a run of the model; 8 by default. */
  readonly batchSize?: number | undefined;
  /** Bootstrap resamples over documents; 1,000 by default. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/** Losses in nats a token, averaged over the predictions made from unmasked positions. */
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
  /** 95%, by bootstrap over documents; null for fewer than two. */
  readonly intervals: {
    readonly delta: Interval | null;
    readonly recovered: Interval | null;
    readonly recoveredFromMean: Interval | null;
  };
}

type Losses = Record<"ablated" | "clean" | "mean" | "spliced" | "tokens", Float64Array>;

/**
 * What the SAE costs the language model: cross-entropy with reconstructions spliced in at one site, between the clean loss and
 * that of zero and of mean ablation. Masked positions keep their own activations in every run.
 *
 * @throws ConfigError `SPLICE_SITE` without a site, `SPLICE_EMPTY` without contexts; MismatchError `SAE_WIDTH`
 */
export async function spliceLoss(
  model: LanguageModel,
  sae: Sae,
  contexts: readonly SpliceContext[],
  options: SpliceLossOptions,
): Promise<SpliceResult> {
  const { mask, batchSize = 8, resamples = 1000, seed = 0, signal, onProgress } = options;
  const site = siteOf(model, sae, options.site);
  if (contexts.length === 0) {
    throw new ConfigError({
      code: "SPLICE_EMPTY",
      message: "spliceLoss was given no contexts",
      fix: "give held-out contexts, for example those of storeContexts",
    });
  }
  const documents = [...new Set(contexts.map(({ document }) => document))];
  const places = new Map(documents.map((document, place) => [document, place]));
  const zeros = (): Float64Array => new Float64Array(documents.length);
  const losses: Losses = {
    clean: zeros(),
    spliced: zeros(),
    ablated: zeros(),
    mean: zeros(),
    tokens: zeros(),
  };
  const batches: SpliceBatch[] = [];
  for (let start = 0; start < contexts.length; start += batchSize)
    batches.push(new SpliceBatch(contexts.slice(start, start + batchSize), places));

  const sum = new Float64Array(sae.config.dIn);
  let kept = 0;
  let done = 0;
  const progress = async (batch: SpliceBatch): Promise<void> => {
    done += batch.contexts.length / 2;
    onProgress?.({
      stage: "splice",
      done: Math.round(done),
      total: contexts.length,
      unit: "contexts",
    });
    await yieldToEventLoop();
  };
  for (const batch of batches) {
    throwIfAborted(signal);
    kept += await batch.clean(model, site, mask, losses, sum);
    await progress(batch);
  }
  const mean = Float32Array.from(sum, (value) => value / Math.max(1, kept));
  for (const batch of batches) {
    throwIfAborted(signal);
    const width = mean.length;
    await batch.edited(model, site, losses, "spliced", (flat) => sae.reconstruct(flat));
    await batch.edited(model, site, losses, "ablated", ({ device, shape }) => device.zeros(shape));
    await batch.edited(model, site, losses, "mean", ({ device, shape }) =>
      add(device.zeros(shape), device.tensor(mean, [width])),
    );
    await progress(batch);
  }
  return summary(site, contexts.length, losses, { resamples, seed });
}

/** Some contexts, padded to one length, with what the clean run found out about them. */
class SpliceBatch {
  readonly contexts: readonly SpliceContext[];
  readonly #places: ReadonlyMap<number, number>;
  readonly #length: number;
  readonly #tokens: readonly Int32Array[];
  #mask: Uint8Array = new Uint8Array(0);

  constructor(contexts: readonly SpliceContext[], places: ReadonlyMap<number, number>) {
    this.contexts = contexts;
    this.#places = places;
    this.#length = Math.max(...contexts.map(({ length }) => length));
    // Attention is causal, so whatever token pads on the right changes nothing before it.
    this.#tokens = contexts.map(({ tokens, length }) =>
      Int32Array.from({ length: this.#length }, (_, position) =>
        position < length ? (tokens[position] ?? 0) : 0,
      ),
    );
  }

  /** The clean run: computes the mask, adds losses, and adds unmasked activations to `sum`. Returns how many there were. */
  async clean(
    model: LanguageModel,
    site: string,
    mask: SpliceLossOptions["mask"],
    losses: Losses,
    sum: Float64Array,
  ): Promise<number> {
    using run = model.run(this.#tokens, { capture: [site] });
    const captured = run.captured.get(site);
    const activations = captured === undefined ? new Float32Array(0) : await captured.floats();
    const width = sum.length;
    const grid = contextGrid(
      this.contexts.map(({ length }) => length),
      this.#length,
    );
    this.#mask = computeMask({
      norms: rowNorms(activations, width),
      ...grid,
      medianNorm: mask.medianNorm,
      policy: mask,
    });
    let kept = 0;
    for (const [row, reason] of this.#mask.entries()) {
      if (reason !== maskReasons.keep) continue;
      kept += 1;
      for (let column = 0; column < width; column++)
        sum[column] = (sum[column] ?? 0) + (activations[row * width + column] ?? 0);
    }
    await this.#addLosses(model.device, run.logits, losses, "clean");
    return kept;
  }

  /** A run with other values at unmasked positions. `replace` gets them all as `[rows, width]`. */
  async edited(
    model: LanguageModel,
    site: string,
    losses: Losses,
    kind: "ablated" | "mean" | "spliced",
    replace: (flat: Tensor) => Tensor,
  ): Promise<void> {
    const keep = Float32Array.from(this.#mask, (reason) => (reason === maskReasons.keep ? 1 : 0));
    const edit: EditFunction = (value) => {
      const { device } = value;
      const flat = value.reshape([keep.length, value.size / keep.length]);
      const chosen = device.tensor(keep, [keep.length, 1]);
      const others = device.tensor(
        keep.map((one) => 1 - one),
        [keep.length, 1],
      );
      return add(mul(replace(flat), chosen), mul(flat, others)).reshape(value.shape);
    };
    using run = model.run(this.#tokens, { edits: [{ site, edit }] });
    await this.#addLosses(model.device, run.logits, losses, kind);
  }

  async #addLosses(
    device: Device,
    logits: Tensor | null,
    losses: Losses,
    kind: Exclude<keyof Losses, "tokens">,
  ): Promise<void> {
    if (logits === null) return;
    const rows = this.#mask.length;
    // -1 where nothing is predicted: at masked positions, and at a context's last token.
    const targets = new Int32Array(rows).fill(-1);
    for (let row = 0; row < rows; row++) {
      const context = Math.floor(row / this.#length);
      const position = row % this.#length;
      if (
        this.#mask[row] === maskReasons.keep &&
        position + 1 < (this.contexts[context]?.length ?? 0)
      )
        targets[row] = this.#tokens[context]?.[position + 1] ?? -1;
    }
    using perRow = device.scope(() =>
      crossEntropy(logits.reshape([rows, logits.size / rows]), device.tensor(targets, [rows])),
    );
    for (const [row, loss] of (await perRow.floats()).entries()) {
      if ((targets[row] ?? -1) < 0) continue;
      const place =
        this.#places.get(this.contexts[Math.floor(row / this.#length)]?.document ?? 0) ?? 0;
      losses[kind][place] = (losses[kind][place] ?? 0) + loss;
      if (kind === "clean") losses.tokens[place] = (losses.tokens[place] ?? 0) + 1;
    }
  }
}

function siteOf(model: LanguageModel, sae: Sae, given: string | undefined): string {
  const name = given ?? sae.config.metadata.hookName;
  if (name === undefined) {
    throw new ConfigError({
      code: "SPLICE_SITE",
      message: "no site was given, and the SAE's metadata names none",
      fix: 'give a site, for example "blocks.14.hook_resid_post"',
    });
  }
  const site = model.site(name);
  checkWidth(sae.config, site.width, `the site ${name} of ${model.name}`);
  if (site.shape[1] !== "pos") {
    throw new MismatchError({
      code: "SPLICE_SITE",
      message: `${name} has axes ${site.shape.join(", ")}, not features of a token`,
      fix: "splice at a site whose second axis is pos",
    });
  }
  return site.name;
}

function summary(
  site: string,
  contexts: number,
  losses: Losses,
  options: { readonly resamples: number; readonly seed: number },
): SpliceResult {
  const documents = losses.tokens.length;
  const totals = (draws: Uint32Array): Record<keyof Losses, number> => {
    const total = (values: Float64Array): number =>
      values.reduce((sum, value, place) => sum + (draws[place] ?? 0) * value, 0);
    const tokens = total(losses.tokens);
    return {
      tokens,
      clean: total(losses.clean) / tokens,
      spliced: total(losses.spliced) / tokens,
      ablated: total(losses.ablated) / tokens,
      mean: total(losses.mean) / tokens,
    };
  };
  const all = totals(new Uint32Array(documents).fill(1));
  const delta = ({ clean, spliced }: typeof all): number => spliced - clean;
  const recovered = ({ clean, spliced, ablated }: typeof all): number =>
    (ablated - spliced) / (ablated - clean);
  const fromMean = ({ clean, spliced, mean }: typeof all): number =>
    (mean - spliced) / (mean - clean);
  const interval = (statistic: (losses: typeof all) => number): Interval | null =>
    bootstrapInterval(documents, (draws) => statistic(totals(draws)), options);
  return {
    site,
    contexts,
    documents,
    tokens: all.tokens,
    cleanLoss: all.clean,
    splicedLoss: all.spliced,
    ablatedLoss: all.ablated,
    meanAblatedLoss: all.mean,
    delta: delta(all),
    recovered: recovered(all),
    recoveredFromMean: fromMean(all),
    intervals: {
      delta: interval(delta),
      recovered: interval(recovered),
      recoveredFromMean: interval(fromMean),
    },
  };
}
