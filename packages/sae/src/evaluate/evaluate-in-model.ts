import type { ActivationStore } from "@latentkit/activations";
import type { LongCallOptions } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { Sae } from "../sae.ts";
import type { CalibratedMask, SpliceContext } from "./context-batch.ts";
import { calibrateMask, contextRows } from "./context-rows.ts";
import { evaluateSae } from "./evaluate-sae.ts";
import type { SaeEvaluation } from "./evaluation-result.ts";
import { latentUniformity } from "./latent-uniformity.ts";
import { spliceLoss } from "./splice-loss.ts";
import { saePlace, type SaePlaceOptions } from "./splice-site.ts";

/** How {@link evaluateInModel} measures. */
export interface EvaluateInModelOptions extends LongCallOptions, SaePlaceOptions {
  /** Without it the default policy, with the median norm of the first contexts; of a store its manifest's. */
  readonly mask?: CalibratedMask | undefined;
  /**
   * Activations of the same text, harvested: read for all that needs no model. Without it the model is run, as it is for a transcoder,
   * which needs two sites.
   */
  readonly store?: ActivationStore | undefined;
  /** Shards of the store; `"held-out"` by default. */
  readonly split?: "train" | "held-out" | undefined;
  /** Contexts at most for what runs the model several times (splicing, uniformity), evenly spread; 256 by default. */
  readonly spliceContexts?: number | undefined;
  /** Tokens of each of these contexts to measure uniformity on; 1 by default, 0 for none. */
  readonly uniformityTokens?: number | undefined;
  /** Contexts in a run of the model; 8 by default. */
  readonly batchSize?: number | undefined;
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/**
 * Everything that is measured of an SAE: `evaluateSae` on activations, `spliceLoss` and `latentUniformity` in the model, with one mask.
 *
 * @throws what these throw
 *
 * @example
 * const { metrics, splice } = await evaluateInModel(model, sae, contexts);
 */
export async function evaluateInModel(
  model: LanguageModel,
  sae: Sae,
  contexts: readonly SpliceContext[],
  options: EvaluateInModelOptions = {},
): Promise<SaeEvaluation> {
  const { store, split, batchSize, resamples, signal, onProgress } = options;
  const { seed = 0, spliceContexts = 256, uniformityTokens = 1 } = options;
  const place = saePlace(model, sae.config, options);
  const { from, site } = place;
  const mask =
    options.mask ??
    store?.manifest.mask ??
    (await calibrateMask(model, contexts, { site: from, batchSize, signal }));
  const measured = { batchSize, resamples, seed, signal, onProgress };
  const transcodes = sae.config.dOut !== null;
  const rows =
    store === undefined || transcodes
      ? contextRows(model, contexts, {
          site: from,
          targetSite: transcodes ? site : undefined,
          mask,
          batchSize,
          signal,
        })
      : store;
  const metrics = await evaluateSae(sae, rows, { ...measured, split });
  const some = spread(contexts, spliceContexts);
  const splice = await spliceLoss(model, sae, some, { ...measured, ...place, mask });
  const uniformity =
    uniformityTokens === 0
      ? null
      : await latentUniformity(model, sae, some, {
          ...measured,
          ...place,
          mask,
          tokensPerContext: uniformityTokens,
        });
  const { mean: _mean, densities, ...figures } = metrics;
  const { architecture, dIn, dSae } = sae.config;
  const { name, weightsHash, architecture: family } = model.identity();
  return {
    kind: "latentkit.sae-evaluation",
    schemaVersion: 1,
    sae: { identity: await sae.identity(), architecture, dIn, dSae },
    model: { name, architecture: family, weightsHash },
    site,
    seed,
    mask: {
      maskFirstPosition: mask.maskFirstPosition,
      maximumNormRatio: mask.maximumNormRatio,
      medianNorm: mask.medianNorm,
    },
    metrics: {
      ...figures,
      densities: Array.from(densities, (density) => Number(density.toPrecision(4))),
    },
    splice,
    uniformity,
  };
}

/** At most so many entries, evenly spread. */
function spread<T>(all: readonly T[], limit: number): readonly T[] {
  if (all.length <= limit) return all;
  return Array.from(
    { length: limit },
    (_, index) => all[Math.floor((index * all.length) / limit)],
  ).filter((entry) => entry !== undefined);
}
