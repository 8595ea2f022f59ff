import { ConfigError } from "@latentkit/core";
import { didYouMean } from "@latentkit/loaders";
import type { ModelConfig } from "./config.ts";

/** Places inside a block that can be read and changed, in the order in which a forward pass comes by. */
export const blockSites = [
  "hook_resid_pre",
  "ln1.hook_scale",
  "ln1.hook_normalized",
  "attn.hook_q",
  "attn.hook_k",
  "attn.hook_v",
  "attn.hook_rot_q",
  "attn.hook_rot_k",
  "attn.hook_attn_scores",
  "attn.hook_pattern",
  "attn.hook_z",
  "hook_attn_out",
  "hook_resid_mid",
  "ln2.hook_scale",
  "ln2.hook_normalized",
  "mlp.hook_pre",
  "mlp.hook_pre_linear",
  "mlp.hook_post",
  "hook_mlp_out",
  "hook_resid_post",
] as const;

/** A site's name within its block. */
export type BlockSite = (typeof blockSites)[number];

/** TransformerLens's name of a site, plus `"logits"`. */
export type SiteName =
  | "hook_embed"
  | `blocks.${number}.${BlockSite}`
  | "ln_final.hook_scale"
  | "ln_final.hook_normalized"
  | "logits";

/** A place in the forward pass that can be captured and edited. */
export interface Site {
  readonly name: string;
  /** Block it belongs to; null for those before and after the blocks. */
  readonly layer: number | null;
  /** Names of its axes, for example `["batch", "pos", "d_model"]`. */
  readonly shape: readonly string[];
  /**
   * Features a token has there: the product of the axes after `pos`, for example 576 at a residual stream. Attention scores and
   * patterns have as many features as keys, so theirs is the context size, an upper bound.
   */
  readonly width: number;
}

/** The full name of a block's site: `blockSite(9, "hook_resid_post")` is `"blocks.9.hook_resid_post"`. */
export function blockSite(layer: number, site: BlockSite): SiteName {
  return `blocks.${layer}.${site}`;
}

/** All sites of a model, in forward order, with names that find them. */
export class SiteTable {
  readonly sites: readonly Site[];
  readonly #byName: ReadonlyMap<string, Site>;

  constructor(config: ModelConfig) {
    this.sites = listSites(config);
    this.#byName = new Map(this.sites.map((site) => [site.name, site]));
  }

  /** @throws ConfigError `SITE_UNKNOWN`, with the nearest name there is */
  site(name: string): Site {
    const site = this.#byName.get(name);
    if (site !== undefined) return site;
    const names = this.sites.map((known) => known.name);
    const near = didYouMean(name, names);
    const last = this.sites.at(-4)?.layer ?? 0;
    throw new ConfigError({
      code: "SITE_UNKNOWN",
      message: `the model has no site "${name}"${near === null ? "" : `; did you mean "${near}"?`}`,
      fix: `use a name that model.sites() lists, for example "blocks.${last}.hook_resid_post" (blocks are 0 to ${last})`,
      where: name,
    });
  }
}

function listSites(config: ModelConfig): Site[] {
  const axes = blockAxes(config);
  const site = (name: SiteName, layer: number | null, feature: Feature): Site => ({
    name,
    layer,
    shape: feature.shape,
    width: feature.width,
  });
  const { residual, scale, logits } = axes;
  const blocks = Array.from({ length: config.layers }, (_, layer) =>
    blockSites.map((name) => site(blockSite(layer, name), layer, featureOf(name, axes))),
  );
  return [
    site("hook_embed", null, residual),
    ...blocks.flat(),
    site("ln_final.hook_scale", null, scale),
    site("ln_final.hook_normalized", null, residual),
    site("logits", null, logits),
  ];
}

interface Feature {
  readonly shape: readonly string[];
  readonly width: number;
}

type Axes = ReturnType<typeof blockAxes>;

function blockAxes(config: ModelConfig) {
  const feature = (shape: readonly string[], width: number): Feature => ({ shape, width });
  return {
    residual: feature(["batch", "pos", "d_model"], config.dModel),
    scale: feature(["batch", "pos", "1"], 1),
    query: feature(["batch", "pos", "head_index", "d_head"], config.heads * config.dHead),
    key: feature(["batch", "pos", "kv_head_index", "d_head"], config.kvHeads * config.dHead),
    scores: feature(["batch", "head_index", "query_pos", "key_pos"], config.contextSize),
    mlp: feature(["batch", "pos", "d_mlp"], config.dMlp),
    logits: feature(["batch", "pos", "d_vocab"], config.vocabulary),
  };
}

function featureOf(name: BlockSite, axes: Axes): Feature {
  switch (name) {
    case "ln1.hook_scale":
    case "ln2.hook_scale":
      return axes.scale;
    case "attn.hook_q":
    case "attn.hook_rot_q":
    case "attn.hook_z":
      return axes.query;
    case "attn.hook_k":
    case "attn.hook_v":
    case "attn.hook_rot_k":
      return axes.key;
    case "attn.hook_attn_scores":
    case "attn.hook_pattern":
      return axes.scores;
    case "mlp.hook_pre":
    case "mlp.hook_pre_linear":
    case "mlp.hook_post":
      return axes.mlp;
    case "hook_resid_pre":
    case "hook_attn_out":
    case "hook_resid_mid":
    case "hook_mlp_out":
    case "hook_resid_post":
    case "ln1.hook_normalized":
    case "ln2.hook_normalized":
      return axes.residual;
  }
}
