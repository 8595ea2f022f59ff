import {
  ConfigError,
  type LongCallOptions,
  Random,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { EditFunction, LanguageModel } from "@latentkit/models";
import { add, gather, grad, mean, sub, sum, take, type Tensor } from "@latentkit/tensor";
import type { Sae } from "../sae.ts";
import { bootstrapInterval, type Interval, ratioOf } from "./bootstrap.ts";
import {
  type CalibratedMask,
  type ContextBatch,
  contextBatches,
  isKept,
  type SpliceContext,
} from "./context-batch.ts";
import { saePlace, type SaePlaceOptions } from "./splice-site.ts";

/** How {@link latentUniformity} measures. */
export interface LatentUniformityOptions extends LongCallOptions, SaePlaceOptions {
  readonly mask: CalibratedMask;
  /** Tokens drawn from each context, each a backward pass of its own; 1 by default. */
  readonly tokensPerContext?: number | undefined;
  /** Contexts in a run of the model; 8 by default. */
  readonly batchSize?: number | undefined;
  /** Bootstrap resamples over documents; 1,000 by default. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/** How evenly importance is spread over the active latents of a token. */
export interface UniformityResult {
  readonly site: string;
  readonly documents: number;
  /** Tokens that were measured: drawn ones with at least one latent of any importance. */
  readonly tokens: number;
  /** E(exp(entropy) / latents), from 1 / latents (one latent has it all) to 1 (all have the same). */
  readonly uniformity: number;
  /** 95%, by bootstrap over documents; null for fewer than two. */
  readonly interval: Interval | null;
  /** E exp(entropy): how many equally important latents it comes to. */
  readonly effectiveLatents: number;
  readonly effectiveLatentsInterval: Interval | null;
}

/**
 * Uniformity of active latents' importance, the relative entropy of their usage (Gemma Scope, 2408.05147, appendix C.3): for a
 * token, `y = f * (W_dec^T grad_x L)` with L the correct next token's logit less the mean over the vocabulary, `p = |y| / sum |y|`,
 * and `exp(entropy(p)) / ||y||_0`. The gradient is that of the token's own prediction, at its own position. Tokens are drawn at random
 * from the unmasked ones of each context that have a next one.
 *
 * @throws ConfigError `SPLICE_SITE`, `SPLICE_EMPTY` where no context has such a token; MismatchError `SAE_WIDTH`; AbortedError
 */
export async function latentUniformity(
  model: LanguageModel,
  sae: Sae,
  contexts: readonly SpliceContext[],
  options: LatentUniformityOptions,
): Promise<UniformityResult> {
  const { mask, tokensPerContext = 1, batchSize = 8, resamples = 1000, seed = 0 } = options;
  const { signal, onProgress } = options;
  const place = saePlace(model, sae.config, options);
  const { site } = place;
  const decoder = await sae.decoder.floats();
  const random = new Random(seed, 0x0e17);
  const byDocument = new Map<number, { tokens: number; uniformity: number; effective: number }>();
  let done = 0;
  for (const batch of contextBatches(contexts, batchSize)) {
    throwIfAborted(signal);
    const { activations, norms } = await batch.read(model, place);
    const masks = batch.mask(norms, mask);
    const candidates = candidateRows(batch, masks);
    for (let draw = 0; draw < tokensPerContext; draw++) {
      throwIfAborted(signal);
      const rows = candidates.flatMap((found) => takeOne(found, random));
      if (rows.length === 0) break;
      const measured = await uniformityOf(model, sae, { site, batch, rows, activations, decoder });
      for (const [at, row] of rows.entries()) {
        const value = measured[at];
        if (value === undefined || value === null) continue;
        const document = batch.document(row);
        const sums = byDocument.get(document) ?? { tokens: 0, uniformity: 0, effective: 0 };
        sums.tokens += 1;
        sums.uniformity += value.uniformity;
        sums.effective += value.effective;
        byDocument.set(document, sums);
      }
      await yieldToEventLoop();
    }
    done += batch.contexts.length;
    onProgress?.({ stage: "uniformity", done, total: contexts.length, unit: "contexts" });
  }
  const units = [...byDocument.values()];
  if (units.length === 0) {
    throw new ConfigError({
      code: "SPLICE_EMPTY",
      message: "no context has an unmasked token with a next one and an active latent",
      fix: "give contexts of at least three tokens, of text that the SAE was made for",
    });
  }
  const column = (name: keyof (typeof units)[number]): Float64Array =>
    Float64Array.from(units, (unit) => unit[name]);
  const tokens = column("tokens");
  const figure = (name: "effective" | "uniformity") => ({
    value: ratioOf(column(name), tokens)(new Uint32Array(units.length).fill(1)),
    interval: bootstrapInterval(units.length, ratioOf(column(name), tokens), { resamples, seed }),
  });
  const [uniformity, effective] = [figure("uniformity"), figure("effective")];
  return {
    site,
    documents: units.length,
    tokens: tokens.reduce((total, count) => total + count, 0),
    uniformity: uniformity.value,
    interval: uniformity.interval,
    effectiveLatents: effective.value,
    effectiveLatentsInterval: effective.interval,
  };
}

/** Rows of each context that are unmasked and have a next token. */
function candidateRows(batch: ContextBatch, mask: Uint8Array): number[][] {
  return batch.contexts.map((_, context) =>
    Array.from({ length: batch.width }, (__, position) => context * batch.width + position).filter(
      (row) => isKept(mask, row) && batch.next(row) >= 0,
    ),
  );
}

/** Removes one entry at random; none from an empty list. */
function takeOne(from: number[], random: Random): number[] {
  return from.length === 0 ? [] : from.splice(random.integer(from.length), 1);
}

interface Place {
  readonly site: string;
  readonly batch: ContextBatch;
  /** One row of each context that has one left. */
  readonly rows: readonly number[];
  readonly activations: Float32Array;
  /** `[dSae, dOut]`. */
  readonly decoder: Float32Array;
}

/** Null for a row whose latents have no importance at all. */
async function uniformityOf(
  model: LanguageModel,
  sae: Sae,
  { site, batch, rows, activations, decoder }: Place,
): Promise<({ readonly uniformity: number; readonly effective: number } | null)[]> {
  const { dIn } = sae.config;
  const { dOut } = sae;
  const picked = pickRows(activations, rows, dIn);
  const gradients = await nextTokenGradients(model, site, batch, rows, dOut);
  using latents = sae.device.scope(() => sae.encode(sae.device.tensor(picked, [rows.length, dIn])));
  const [counts, indices, values] = [
    await latents.counts.integers(),
    await latents.indices.integers(),
    await latents.values.floats(),
  ];
  return rows.map((_, at) => {
    const importance: number[] = [];
    for (let entry = 0; entry < Math.min(counts[at] ?? 0, latents.capacity); entry++) {
      const place = at * latents.capacity + entry;
      const latent = indices[place] ?? 0;
      let along = 0;
      for (let column = 0; column < dOut; column++)
        along += (decoder[latent * dOut + column] ?? 0) * (gradients[at * dOut + column] ?? 0);
      importance.push(Math.abs((values[place] ?? 0) * along));
    }
    return relativeEntropy(importance);
  });
}

/**
 * `exp(entropy)` of weights brought to sum 1, and its share of how many are not 0; null where all are 0.
 *
 * @param weights not negative
 */
export function relativeEntropy(
  weights: readonly number[],
): { readonly uniformity: number; readonly effective: number } | null {
  const present = weights.filter((weight) => weight > 0);
  const total = present.reduce((all, weight) => all + weight, 0);
  if (total === 0) return null;
  let entropy = 0;
  for (const weight of present) entropy -= (weight / total) * Math.log(weight / total);
  const effective = Math.exp(entropy);
  return { effective, uniformity: effective / present.length };
}

/** Gradients of each row's own mean-centred next-token logit to its own activation at the site, `[rows, width]`. */
async function nextTokenGradients(
  model: LanguageModel,
  site: string,
  batch: ContextBatch,
  rows: readonly number[],
  width: number,
): Promise<Float32Array> {
  const { device } = model;
  const targets = Int32Array.from(rows, (row) => batch.next(row));
  // Rows of a batch are contexts of their own, so one backward pass of the sum gives the gradient of each.
  using gradients = device.scope(() =>
    grad((added: Tensor) => {
      const edit: EditFunction = (value) => add(value, added.reshape(value.shape));
      const { logits } = model.run(batch.tokens, { edits: [{ site, edit }] });
      if (logits === null) return sum(added);
      const picked = take(logits.reshape([batch.rows, logits.size / batch.rows]), rows, {
        axis: 0,
      });
      const next = gather(picked, device.tensor(targets, [rows.length, 1]), { axis: 1 });
      return sum(sub(next, mean(picked, { axis: 1, keepDims: true })));
    })(device.zeros([batch.rows, width])),
  );
  return pickRows(await gradients.floats(), rows, width);
}

function pickRows(from: Float32Array, rows: readonly number[], width: number): Float32Array {
  const picked = new Float32Array(rows.length * width);
  for (const [at, row] of rows.entries())
    picked.set(from.subarray(row * width, (row + 1) * width), at * width);
  return picked;
}
