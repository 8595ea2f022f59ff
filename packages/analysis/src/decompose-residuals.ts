import { blockSite, type LanguageModel } from "@latentkit/models";
import { stack, type Tensor } from "@latentkit/tensor";
import { capturedAt, layersOf } from "./captured.ts";
import {
  type ComponentOptions,
  componentSites,
  componentValues,
  type ResidualComponent,
} from "./residual-components.ts";
import { lastResidual } from "./residual-sites.ts";

/** The residual stream as a sum. The caller disposes it. */
export interface DecomposedResiduals extends Disposable {
  /** In the order in which they are added. */
  readonly components: readonly ResidualComponent[];
  /** `[component, batch, pos, d_model]`; its sum over components is the stream at the site asked for. */
  readonly values: Tensor;
}

/**
 * The residual stream at a site as the sum of what was added to it: embeddings, each layer's attention (or each head) and MLP.
 *
 * Of heads that a norm follows (Gemma, OLMo 2) this is what they add with the norm's scale as it was in this run.
 *
 * @param tokens rows of one length
 * @throws ConfigError `SITE_UNKNOWN`, `ANALYSIS_SITE` where `at` is no residual stream; what `model.run` throws
 */
export function decomposeResiduals(
  model: LanguageModel,
  tokens: readonly ArrayLike<number>[],
  options: ComponentOptions = {},
): DecomposedResiduals {
  const capture = componentSites(model, options);
  const { components, values } = model.device.scope(() => {
    const { captured } = model.run(tokens, { capture, logits: "none" });
    const parts = componentValues(model, captured, options);
    return {
      components: parts.map(({ component }) => component),
      values: stack(parts.map(({ value }) => value)),
    };
  });
  return { components, values, [Symbol.dispose]: () => values.dispose() };
}

/** The residual stream as it grows. The caller disposes it. */
export interface AccumulatedResiduals extends Disposable {
  /** The sites, in forward order. */
  readonly sites: readonly string[];
  /** `[site, batch, pos, d_model]`. */
  readonly values: Tensor;
}

/**
 * The residual stream as it enters each block, also between attention and MLP if `mid` is asked for, and as it leaves the last.
 *
 * @param tokens rows of one length
 * @throws ConfigError `SITE_UNKNOWN` for `mid` in a model whose attention and MLP are parallel; what `model.run` throws
 */
export function accumulatedResiduals(
  model: LanguageModel,
  tokens: readonly ArrayLike<number>[],
  options: { readonly mid?: boolean | undefined } = {},
): AccumulatedResiduals {
  const sites = [
    ...layersOf(model).flatMap((layer) => [
      blockSite(layer, "hook_resid_pre"),
      ...(options.mid === true ? [blockSite(layer, "hook_resid_mid")] : []),
    ]),
    lastResidual(model),
  ];
  const values = model.device.scope(() => {
    const { captured } = model.run(tokens, { capture: sites, logits: "none" });
    return stack(sites.map((site) => capturedAt(captured, site)));
  });
  return { sites, values, [Symbol.dispose]: () => values.dispose() };
}
