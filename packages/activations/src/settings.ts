import { ConfigError } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { ActivationModel, ActivationSite } from "./activation-model.ts";
import { checkMaskPolicy, defaultMask, type MaskPolicy } from "./mask.ts";
import { checkPacking, defaultPacking, type PackingPolicy } from "./packing.ts";
import { checkSplitPolicy, defaultSplit, type SplitPolicy } from "./split.ts";

/** How text becomes activations, whether they are stored or used as they come. */
export interface ActivationSettings {
  /** Over {@link defaultPacking}; contexts are never longer than the model's unless asked for. */
  readonly packing?: Partial<PackingPolicy> | undefined;
  /** Over {@link defaultMask}. The median norm is that of the first `calibrationContexts` contexts, 16 unless told. */
  readonly mask?: Partial<MaskPolicy & { readonly calibrationContexts: number }> | undefined;
  /** Over {@link defaultSplit}. */
  readonly split?: Partial<SplitPolicy> | undefined;
  /** Contexts in a run of the model, 8 unless told. */
  readonly batchSize?: number | undefined;
}

/** {@link ActivationSettings} with everything decided. */
export interface ResolvedSettings {
  readonly packing: PackingPolicy;
  readonly mask: MaskPolicy & { readonly calibrationContexts: number };
  readonly split: SplitPolicy;
  readonly batchSize: number;
  readonly tokenizer: Tokenizer;
}

/**
 * Checks settings against a model and fills in defaults.
 *
 * @throws ConfigError `TOKENIZER_MISSING`, `CONTEXT_TOO_LONG`, `HARVEST_OPTION`, and for policies that make no sense
 */
export function resolveSettings(
  model: ActivationModel,
  settings: ActivationSettings,
): ResolvedSettings {
  const { tokenizer } = model;
  if (tokenizer === null) {
    throw new ConfigError({
      code: "TOKENIZER_MISSING",
      message: "the model has no tokenizer, so text cannot become tokens",
      fix: "put the model's tokenizer.json beside its weights",
      where: model.identity().name,
    });
  }
  const { batchSize = 8 } = settings;
  const { contextSize = Math.min(defaultPacking.contextSize, model.config.contextSize) } =
    settings.packing ?? {};
  const minimumTokens = Math.min(defaultPacking.minimumTokens, contextSize);
  const packing = { ...defaultPacking, minimumTokens, ...settings.packing, contextSize };
  const mask = { ...defaultMask, calibrationContexts: 16, ...settings.mask };
  const split = { ...defaultSplit, ...settings.split };
  checkPacking(tokenizer, packing);
  checkMaskPolicy(mask);
  checkSplitPolicy(split);
  checkCount("batchSize", batchSize, 1);
  checkCount("calibrationContexts", mask.calibrationContexts, 1);
  if (packing.contextSize > model.config.contextSize) {
    throw new ConfigError({
      code: "CONTEXT_TOO_LONG",
      message: `contexts of ${packing.contextSize} tokens were asked for, but the model takes ${model.config.contextSize}`,
      fix: `use a contextSize of at most ${model.config.contextSize}`,
    });
  }
  return { packing, mask, split, batchSize, tokenizer };
}

/** A site that has a vector for each token. Throws `ConfigError` `SITE_NOT_PER_TOKEN`. */
export function tokenSite(model: ActivationModel, name: string): ActivationSite {
  const site = model.site(name);
  if (site.shape[0] === "batch" && site.shape[1] === "pos") return site;
  throw new ConfigError({
    code: "SITE_NOT_PER_TOKEN",
    message: `site ${site.name} has the axes [${site.shape.join(", ")}], which give no vector for each token`,
    fix: "harvest a site with axes [batch, pos, ...], for example a block's hook_resid_post",
    where: site.name,
  });
}

/** Throws `ConfigError` `HARVEST_OPTION` unless the option is an integer of at least `smallest`. */
export function checkCount(name: string, value: number, smallest: number): void {
  if (Number.isSafeInteger(value) && value >= smallest) return;
  throw new ConfigError({
    code: "HARVEST_OPTION",
    message: `${name} is ${value}, but an integer of at least ${smallest} was expected`,
    fix: `give ${name} as an integer of at least ${smallest}`,
  });
}
