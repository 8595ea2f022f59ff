import { ConfigError } from "@latentkit/core";
import { didYouMean } from "@latentkit/loaders";
import type { BlockLayout } from "./block-layout.ts";
import type { ModelConfig } from "./config.ts";
import { families } from "./families/index.ts";

/**
 * Places inside a block that can be read and changed, as TransformerLens names them. No family has all of them, and the order is that
 * of blocks with norms before attention and MLP: `model.sites()` lists what a model has, in its own order.
 */
export const blockSites = [
  "hook_resid_pre",
  "ln1.hook_scale",
  "ln1.hook_normalized",
  "attn.hook_q",
  "attn.hook_k",
  "attn.hook_v",
  "attn.q_norm.hook_scale",
  "attn.q_norm.hook_normalized",
  "attn.k_norm.hook_scale",
  "attn.k_norm.hook_normalized",
  "attn.hook_rot_q",
  "attn.hook_rot_k",
  "attn.hook_attn_scores",
  "attn.hook_pattern",
  "attn.hook_z",
  "attn.hook_result",
  "ln1_post.hook_scale",
  "ln1_post.hook_normalized",
  "hook_attn_out",
  "hook_resid_mid",
  "ln2.hook_scale",
  "ln2.hook_normalized",
  "mlp.hook_pre",
  "mlp.hook_pre_linear",
  "mlp.hook_post",
  "ln2_post.hook_scale",
  "ln2_post.hook_normalized",
  "hook_mlp_out",
  "hook_resid_post",
] as const;

/** A site's name within its block. */
export type BlockSite = (typeof blockSites)[number];

/** TransformerLens's name of a site, plus `"logits"`. */
export type SiteName =
  | "hook_embed"
  | "hook_pos_embed"
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
    this.sites = modelSites(config);
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

/** Every site of a model with this configuration, in forward order: what `model.sites()` gives, without its weights. */
export function modelSites(config: ModelConfig): readonly Site[] {
  const layout = families[config.architecture].layout(config);
  const axes = blockAxes(config, layout);
  const site = (name: SiteName, layer: number | null, { shape, width }: Feature): Site => ({
    name,
    layer,
    shape,
    width,
  });
  const { residual, scale, logits } = axes;
  const inBlock = sitesOfBlock(layout);
  const blocks = Array.from({ length: config.layers }, (_, layer) =>
    inBlock.map((name) => site(blockSite(layer, name), layer, featureOf(name, axes))),
  );
  return [
    site("hook_embed", null, residual),
    ...(layout.positions === "learned" ? [site("hook_pos_embed", null, residual)] : []),
    ...blocks.flat(),
    site("ln_final.hook_scale", null, scale),
    site("ln_final.hook_normalized", null, residual),
    site("logits", null, logits),
  ];
}

/** The sites of a block, in the order in which its forward pass comes by. */
function sitesOfBlock({
  norms,
  positions,
  queryKeyNorm,
  gated,
  parallel,
}: BlockLayout): BlockSite[] {
  const norm = <
    Name extends "attn.k_norm" | "attn.q_norm" | "ln1" | "ln1_post" | "ln2" | "ln2_post",
  >(
    name: Name,
  ) => [`${name}.hook_scale`, `${name}.hook_normalized`] as const;
  const when = <Name>(condition: boolean, names: readonly Name[]) => (condition ? names : []);
  return [
    "hook_resid_pre",
    ...when(norms !== "after", norm("ln1")),
    "attn.hook_q",
    "attn.hook_k",
    "attn.hook_v",
    ...when(queryKeyNorm !== null, [...norm("attn.q_norm"), ...norm("attn.k_norm")]),
    ...when(positions === "rotary", ["attn.hook_rot_q", "attn.hook_rot_k"] as const),
    "attn.hook_attn_scores",
    "attn.hook_pattern",
    "attn.hook_z",
    "attn.hook_result",
    ...when(norms === "after", norm("ln1")),
    ...when(norms === "both", norm("ln1_post")),
    "hook_attn_out",
    ...when(!parallel, ["hook_resid_mid"] as const),
    ...when(norms !== "after", norm("ln2")),
    "mlp.hook_pre",
    ...when(gated, ["mlp.hook_pre_linear"] as const),
    "mlp.hook_post",
    ...when(norms === "after", norm("ln2")),
    ...when(norms === "both", norm("ln2_post")),
    "hook_mlp_out",
    "hook_resid_post",
  ];
}

interface Feature {
  readonly shape: readonly string[];
  readonly width: number;
}

function feature(shape: readonly string[], width: number): Feature {
  return { shape, width };
}

type Axes = ReturnType<typeof blockAxes>;

function blockAxes(config: ModelConfig, { queryKeyNorm }: BlockLayout) {
  const { heads, kvHeads, dHead } = config;
  const perHead = queryKeyNorm === "head";
  const normed = (head: string, count: number) => ({
    scale: perHead
      ? feature(["batch", "pos", head, "1"], count)
      : feature(["batch", "pos", "1"], 1),
    normalized: feature(
      perHead ? ["batch", "pos", head, "d_head"] : ["batch", "pos", `${head} * d_head`],
      count * dHead,
    ),
  });
  return {
    residual: feature(["batch", "pos", "d_model"], config.dModel),
    scale: feature(["batch", "pos", "1"], 1),
    query: feature(["batch", "pos", "head_index", "d_head"], heads * dHead),
    key: feature(["batch", "pos", "kv_head_index", "d_head"], kvHeads * dHead),
    result: feature(["batch", "pos", "head_index", "d_model"], heads * config.dModel),
    queryNorm: normed("head_index", heads),
    keyNorm: normed("kv_head_index", kvHeads),
    scores: feature(["batch", "head_index", "query_pos", "key_pos"], config.contextSize),
    mlp: feature(["batch", "pos", "d_mlp"], config.dMlp),
    logits: feature(["batch", "pos", "d_vocab"], config.vocabulary),
  };
}

function featureOf(name: BlockSite, axes: Axes): Feature {
  switch (name) {
    case "ln1.hook_scale":
    case "ln1_post.hook_scale":
    case "ln2.hook_scale":
    case "ln2_post.hook_scale":
      return axes.scale;
    case "attn.hook_q":
    case "attn.hook_rot_q":
    case "attn.hook_z":
      return axes.query;
    case "attn.hook_result":
      return axes.result;
    case "attn.q_norm.hook_scale":
      return axes.queryNorm.scale;
    case "attn.q_norm.hook_normalized":
      return axes.queryNorm.normalized;
    case "attn.k_norm.hook_scale":
      return axes.keyNorm.scale;
    case "attn.k_norm.hook_normalized":
      return axes.keyNorm.normalized;
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
    case "ln1_post.hook_normalized":
    case "ln2.hook_normalized":
    case "ln2_post.hook_normalized":
      return axes.residual;
  }
}
