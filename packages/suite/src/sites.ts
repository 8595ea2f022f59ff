import { blockSite } from "@latentkit/models";

/** The three places of a block that Gemma Scope has SAEs of (2408.05147, section 3.1). */
export type SuiteSite = "att" | "mlp" | "res";

/** All of them, in Gemma Scope's order of importance. */
export const suiteSites: readonly SuiteSite[] = ["res", "mlp", "att"];

/**
 * TransformerLens name of a site in a layer: `res` is the residual stream after the MLP, `mlp` the MLP's output, `att` the heads'
 * outputs before the output projection, concatenated to `heads * dHead` features.
 */
export function hookNameOf(site: SuiteSite, layer: number): string {
  switch (site) {
    case "res":
      return blockSite(layer, "hook_resid_post");
    case "mlp":
      return blockSite(layer, "hook_mlp_out");
    case "att":
      return blockSite(layer, "attn.hook_z");
  }
}
