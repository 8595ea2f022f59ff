import type { SaeMetadata } from "../config.ts";

/** What a path in Gemma Scope's repositories says of an SAE. */
export interface GemmaScopeSource {
  /** Trained on embeddings as the model scales them. */
  readonly embedding: boolean;
  /** Reads what goes into an MLP and writes what comes out. */
  readonly transcoder: boolean;
  /** Of the heads' outputs, side by side: SAELens flattens them. */
  readonly hookZ: boolean;
  readonly metadata: SaeMetadata;
}

/**
 * Model, site and kind by a path such as `google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71/params.npz`, on the hub or in a
 * folder that was downloaded from it; nothing where the release is not Google's.
 */
export function gemmaScopeSource(path: string): GemmaScopeSource {
  const parts = path.split(/[\\/]/u);
  const embedding = parts.includes("embedding");
  const release = parts
    .map((part) => /gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)$/u.exec(part))
    .find((match) => match !== null);
  const [, size = "", tuning = "", kind = ""] = release ?? [];
  const layer = parts
    .map((part) => /^layer_(\d+)$/u.exec(part)?.[1])
    .find((found) => found !== undefined);
  const transcoder = kind === "transcoders" || parts.includes("transcoder");
  if (release === undefined || (layer === undefined && !embedding))
    return { embedding, transcoder, hookZ: false, metadata: {} };
  const block = `blocks.${layer ?? 0}`;
  const sites: Readonly<Record<string, string>> = {
    res: `${block}.hook_resid_post`,
    mlp: `${block}.hook_mlp_out`,
    att: `${block}.attn.hook_z`,
    transcoders: `${block}.ln2.hook_normalized`,
  };
  return {
    embedding,
    transcoder,
    hookZ: kind === "att",
    metadata: {
      modelName: `google/gemma-2-${size}${tuning === "it" ? "-it" : ""}`,
      hookName: embedding ? "hook_embed" : sites[kind],
      ...(transcoder ? { hookNameOut: `${block}.hook_mlp_out` } : {}),
      contextSize: 1024,
      prependBos: true,
    },
  };
}
