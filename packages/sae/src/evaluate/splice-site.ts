import { ConfigError, MismatchError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { SaeConfig } from "../config.ts";
import { checkWidth, outputWidth } from "../weights.ts";

/** Where an SAE stands in a model. */
export interface SaePlace {
  /** The site that it reads. */
  readonly from: string;
  /** The site that it reconstructs: the same for an autoencoder, another for a transcoder. */
  readonly site: string;
}

/** Sites, where the SAE's metadata do not name them. */
export interface SaePlaceOptions {
  /** The site that is reconstructed. */
  readonly site?: string | undefined;
  /** The site that a transcoder reads; of an autoencoder it is the one that it reconstructs. */
  readonly from?: string | undefined;
}

/**
 * The sites at which an SAE is measured: given ones, or those that its metadata name (`hookName`, and `hookNameOut` of a transcoder).
 *
 * @throws ConfigError `SPLICE_SITE` without a site; MismatchError `SPLICE_SITE` for one that has no vector for each token,
 *   `SAE_WIDTH` for one of another width
 */
export function saePlace(
  model: LanguageModel,
  config: SaeConfig,
  { site, from }: SaePlaceOptions,
): SaePlace {
  const { hookName, hookNameOut } = config.metadata;
  if (config.dOut === null) {
    const name = checkedSite(model, config, site ?? hookName, config.dIn);
    return { from: name, site: name };
  }
  return {
    from: checkedSite(model, config, from ?? hookName, config.dIn),
    site: checkedSite(model, config, site ?? hookNameOut, outputWidth(config)),
  };
}

function checkedSite(
  model: LanguageModel,
  config: SaeConfig,
  name: string | undefined,
  width: number,
): string {
  if (name === undefined) {
    throw new ConfigError({
      code: "SPLICE_SITE",
      message: `no site was given${config.dOut === null ? "" : " for one end of the transcoder"}, and the SAE's metadata names none`,
      fix: 'give a site, for example "blocks.14.hook_resid_post"',
    });
  }
  const site = model.site(name);
  if (site.width !== width)
    checkWidth({ ...config, dIn: width }, site.width, `the site ${name} of ${model.name}`);
  if (site.shape[1] !== "pos") {
    throw new MismatchError({
      code: "SPLICE_SITE",
      message: `${name} has axes ${site.shape.join(", ")}, not features of a token`,
      fix: "splice at a site whose second axis is pos",
    });
  }
  return site.name;
}
