import { ConfigError } from "@latentkit/core";
import { type LanguageModel, type LatentCodec, type SiteEdit, splice } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";

/** A site of the model whose value is seen as latents. */
export interface LatentSite {
  /** Full name, for example `"blocks.3.hook_resid_post"`. */
  readonly site: string;
  /** An `Sae` of `@latentkit/sae`, or any other codec of the site's width. Stays the caller's. */
  readonly sae: LatentCodec;
  /** The earlier site that a transcoder reads; the site itself if left out. */
  readonly from?: string | undefined;
}

/**
 * What becomes of the part of a value that the SAE misses, its error `x - decode(encode(x))`: a `"node"` of its own that can be patched;
 * `"kept"` as it is, so that latents alone are patched; or `"none"`: reconstructions go on in the place of values, and what is measured
 * is the model with SAEs in it.
 */
export type ErrorTerm = "kept" | "node" | "none";

/** A model with SAEs at some of its sites. */
export interface SplicedSites {
  readonly model: LanguageModel;
  /** In forward order. */
  readonly sites: readonly LatentSite[];
  readonly error: ErrorTerm;
}

/**
 * The site that an SAE's metadata names, `hookName`, or for a transcoder `hookNameOut`.
 *
 * @throws ConfigError `CIRCUIT_SITES` where it names none
 */
export function latentSite(sae: Sae): LatentSite {
  const { hookName, hookNameOut } = sae.config.metadata;
  if (hookName === undefined) {
    throw new ConfigError({
      code: "CIRCUIT_SITES",
      message: "the SAE's metadata names no site",
      fix: 'give the site yourself: { site: "blocks.3.hook_resid_post", sae }',
    });
  }
  return hookNameOut === undefined
    ? { site: hookName, sae }
    : { site: hookNameOut, sae, from: hookName };
}

/** Checks sites and puts them in forward order. @throws ConfigError `CIRCUIT_SITES`, `SITE_UNKNOWN` */
export function spliceSites(
  model: LanguageModel,
  sites: readonly LatentSite[],
  error: ErrorTerm,
): SplicedSites {
  const order = new Map(model.sites().map(({ name }, index) => [name, index]));
  const names = sites.map(({ site }) => model.site(site).name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (sites.length === 0 || twice !== undefined) {
    throw new ConfigError({
      code: "CIRCUIT_SITES",
      message: twice === undefined ? "no sites were given" : `${twice} was given twice`,
      fix: "give each site once, with its SAE",
      where: twice,
    });
  }
  const place = ({ site }: LatentSite) => order.get(site) ?? 0;
  return { model, sites: sites.toSorted((a, b) => place(a) - place(b)), error };
}

/**
 * The edits that put the SAEs in. With the error term the run computes what it would without them, and gradients pass a site as if
 * nothing were there: those to latents and errors are total effects, as in Marks et al. (2403.19647).
 */
export function splicesOf({ sites, error }: SplicedSites): SiteEdit[] {
  return sites.map(({ site, sae, from }) => splice(site, sae, { error: error !== "none", from }));
}

/** Name of the latents at a site, `[batch, pos, latents]`. */
export function latentsAt(site: string): string {
  return `${site}.hook_sae_acts_post`;
}

/** Name of the error at a site, of the shape of its value. */
export function errorAt(site: string): string {
  return `${site}.hook_sae_error`;
}
