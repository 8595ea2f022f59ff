import { ConfigError } from "@latentkit/core";
import { blockSite, type LanguageModel } from "@latentkit/models";

const streams = /^(?:blocks\.\d+\.)?hook_(?:resid_pre|resid_mid|resid_post)$/u;
const additions = /^(?:blocks\.\d+\.hook_(?:attn_out|mlp_out)|hook_embed|hook_pos_embed)$/u;

/** The stream that the final norm reads. */
export function lastResidual(model: LanguageModel): string {
  return blockSite(model.config.layers - 1, "hook_resid_post");
}

/** How many layers' attention and MLPs have been added to the stream at a residual site. */
export function streamDepth(
  model: LanguageModel,
  name: string,
): { readonly attention: number; readonly mlp: number } {
  const { layer } = requireStream(model, name, false);
  const before = layer ?? 0;
  if (name.endsWith("pre")) return { attention: before, mlp: before };
  return { attention: before + 1, mlp: name.endsWith("mid") ? before : before + 1 };
}

/**
 * A site whose values are residual streams, or, with `parts`, what is added to them.
 *
 * @throws ConfigError `SITE_UNKNOWN`, `ANALYSIS_SITE` for one of another space
 */
export function requireStream(
  model: LanguageModel,
  name: string,
  parts: boolean,
): { readonly layer: number | null } {
  const site = model.site(name);
  if (streams.test(name) || (parts && additions.test(name))) return site;
  throw new ConfigError({
    code: "ANALYSIS_SITE",
    message: `${name} is no residual stream: its values have axes ${site.shape.join(", ")} in a space of their own`,
    fix: `give a site such as ${lastResidual(model)}${parts ? ", or what is added to the stream there, hook_attn_out or hook_mlp_out" : ""}`,
    where: name,
  });
}
