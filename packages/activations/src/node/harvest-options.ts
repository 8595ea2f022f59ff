import { ConfigError } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { ActivationModel } from "../activation-model.ts";
import type { TextDocument } from "../document.ts";
import type { ActivationDType, HarvestConfig, Provenance } from "../manifest.ts";
import { checkMaskPolicy, defaultMask } from "../mask.ts";
import type { MaskPolicy } from "../mask.ts";
import { checkPacking, defaultPacking } from "../packing.ts";
import type { PackingPolicy } from "../packing.ts";
import { checkSplitPolicy, defaultSplit } from "../split.ts";
import type { SplitPolicy } from "../split.ts";
import { packageVersions } from "./versions.ts";

/** What to harvest, and where to. */
export interface HarvestOptions extends LongCallOptions {
  /** A `LanguageModel` with a tokenizer. */
  readonly model: ActivationModel;
  /** The text; a resumed harvest must be given the same again. */
  readonly documents: AsyncIterable<TextDocument> | Iterable<TextDocument>;
  /** A site with axes `batch` and `pos`, for example `"blocks.9.hook_resid_post"`. */
  readonly site: string;
  /** Folder for the shards; made if there is none. */
  readonly out: string;
  /** Over {@link defaultPacking}; contexts are never longer than the model's unless asked for. */
  readonly packing?: Partial<PackingPolicy> | undefined;
  /** Over {@link defaultMask}. The median norm is that of the first `calibrationContexts` contexts, 16 unless told. */
  readonly mask?: Partial<MaskPolicy & { readonly calibrationContexts: number }> | undefined;
  /** Over {@link defaultSplit}. */
  readonly split?: Partial<SplitPolicy> | undefined;
  /** Contexts in a run of the model, 8 unless told. */
  readonly batchSize?: number | undefined;
  /** Tokens in a shard, about: rounded down to whole batches of whole contexts. 65,536 unless told. */
  readonly shardTokens?: number | undefined;
  /** f32 unless told. */
  readonly dtype?: ActivationDType | undefined;
  /** Stop before there are more tokens than this. All of the text unless told. */
  readonly maximumTokens?: number | null | undefined;
}

/** A harvest with everything decided. */
export interface HarvestPlan {
  readonly config: HarvestConfig;
  readonly provenance: Provenance;
  readonly tokenizer: Tokenizer;
}

/** Checks the options and fills in defaults. Touches neither disk nor device. */
export function planHarvest(options: HarvestOptions): HarvestPlan {
  const {
    model,
    dtype = "f32",
    batchSize = 8,
    shardTokens = 65_536,
    maximumTokens = null,
  } = options;
  const site = model.site(options.site);
  if (site.shape[0] !== "batch" || site.shape[1] !== "pos") {
    throw new ConfigError({
      code: "SITE_NOT_PER_TOKEN",
      message: `site ${site.name} has the axes [${site.shape.join(", ")}], which give no vector for each token`,
      fix: "harvest a site with axes [batch, pos, ...], for example a block's hook_resid_post",
      where: site.name,
    });
  }
  const { tokenizer } = model;
  if (tokenizer === null) {
    throw new ConfigError({
      code: "TOKENIZER_MISSING",
      message: "the model has no tokenizer, so text cannot become tokens",
      fix: "put the model's tokenizer.json beside its weights",
      where: model.identity().name,
    });
  }
  const { contextSize = Math.min(defaultPacking.contextSize, model.config.contextSize) } =
    options.packing ?? {};
  const minimumTokens = Math.min(defaultPacking.minimumTokens, contextSize);
  const packing = { ...defaultPacking, minimumTokens, ...options.packing, contextSize };
  const mask = { ...defaultMask, calibrationContexts: 16, ...options.mask };
  const split = { ...defaultSplit, ...options.split };
  checkPacking(tokenizer, packing);
  checkMaskPolicy(mask);
  checkSplitPolicy(split);
  checkCount("batchSize", batchSize, 1);
  checkCount("shardTokens", shardTokens, 1);
  checkCount("calibrationContexts", mask.calibrationContexts, 1);
  if (maximumTokens !== null) checkCount("maximumTokens", maximumTokens, packing.contextSize);
  if (packing.contextSize > model.config.contextSize) {
    throw new ConfigError({
      code: "CONTEXT_TOO_LONG",
      message: `contexts of ${packing.contextSize} tokens were asked for, but the model takes ${model.config.contextSize}`,
      fix: `use a contextSize of at most ${model.config.contextSize}`,
    });
  }
  const batches = Math.max(1, Math.floor(shardTokens / (packing.contextSize * batchSize)));
  const contextsPerShard = batches * batchSize;
  checkShardSize(contextsPerShard * packing.contextSize, site.width);
  const { name, architecture, weightsHash } = model.identity();
  const { name: backend, matmul, threads, build } = model.device.info;
  return {
    config: {
      model: { name, architecture, weightsHash },
      site: site.name,
      dIn: site.width,
      tokenizer: { identity: tokenizer.identity, vocabularySize: tokenizer.vocabularySize },
      dtype,
      packing,
      mask,
      split,
      batchSize,
      contextsPerShard,
      maximumTokens,
    },
    provenance: { backend: { name: backend, matmul, threads, build }, versions: packageVersions() },
    tokenizer,
  };
}

function checkCount(name: string, value: number, smallest: number): void {
  if (Number.isSafeInteger(value) && value >= smallest) return;
  throw new ConfigError({
    code: "HARVEST_OPTION",
    message: `${name} is ${value}, but an integer of at least ${smallest} was expected`,
    fix: `give ${name} as an integer of at least ${smallest}`,
  });
}

/** A shard is built in memory, in one array of f32. */
function checkShardSize(tokens: number, dIn: number): void {
  const bytes = tokens * dIn * 4;
  if (bytes < 2 ** 32) return;
  throw new ConfigError({
    code: "SHARD_TOO_LARGE",
    message: `a shard of ${tokens} tokens of width ${dIn} takes ${(bytes / 2 ** 30).toFixed(1)} GiB of memory`,
    fix: "use fewer shardTokens, or a smaller batchSize",
  });
}
