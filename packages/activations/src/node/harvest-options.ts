import { ConfigError } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { ActivationModel } from "../activation-model.ts";
import type { TextDocument } from "../document.ts";
import type { ActivationDType, HarvestConfig, Provenance } from "../manifest.ts";
import { type ActivationSettings, checkCount, resolveSettings, tokenSite } from "../settings.ts";
import { packageVersions } from "./versions.ts";

/** A site to harvest, and where to. */
export interface HarvestTarget {
  /** A site with axes `batch` and `pos`, for example `"blocks.9.hook_resid_post"`. */
  readonly site: string;
  /** Folder for the shards; made if there is none. */
  readonly out: string;
}

/** What to harvest, and where to. */
export interface HarvestOptions extends HarvestTarget, HarvestSettings {}

/** What to harvest at several sites. */
export interface HarvestSitesOptions extends HarvestSettings {
  /** At least one, each with a folder of its own. */
  readonly sites: readonly HarvestTarget[];
}

/** How to harvest, apart from where. */
export interface HarvestSettings extends ActivationSettings, LongCallOptions {
  /** A `LanguageModel` with a tokenizer. */
  readonly model: ActivationModel;
  /** The text; a resumed harvest must be given the same again. */
  readonly documents: AsyncIterable<TextDocument> | Iterable<TextDocument>;
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
  const { model, dtype = "f32", shardTokens = 65_536, maximumTokens = null } = options;
  const site = tokenSite(model, options.site);
  const { tokenizer, ...settings } = resolveSettings(model, options);
  const { packing, batchSize } = settings;
  checkCount("shardTokens", shardTokens, 1);
  if (maximumTokens !== null) checkCount("maximumTokens", maximumTokens, packing.contextSize);
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
      ...settings,
      contextsPerShard,
      maximumTokens,
    },
    provenance: { backend: { name: backend, matmul, threads, build }, versions: packageVersions() },
    tokenizer,
  };
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
