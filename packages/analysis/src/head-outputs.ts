import { ConfigError } from "@latentkit/core";
import { blockSite, type LanguageModel } from "@latentkit/models";
import { linear, matmul, slice, stack, StoredWeight, type Tensor } from "@latentkit/tensor";
import { attentionOutput } from "./weight-names.ts";

/** Options of {@link headOutputs}. */
export interface HeadOutputsOptions {
  /** Layers; all of them if left out. */
  readonly layers?: readonly number[] | undefined;
}

/** What the heads write, by layer, each `[batch, pos, head, d_model]`. The caller disposes it. */
export interface HeadOutputs extends Disposable {
  readonly byLayer: ReadonlyMap<number, Tensor>;
}

/**
 * What each head writes, `z W_O` by head: TransformerLens's `attn.hook_result`. Summed over heads and with the projection's bias, this is
 * `hook_attn_out` where nothing is normalised in between (Gemma and OLMo 2 do; {@link decomposeResiduals} counts that in).
 *
 * @param tokens rows of one length
 * @throws ConfigError `SITE_UNKNOWN` for a layer that there is not; what `model.run` throws
 */
export function headOutputs(
  model: LanguageModel,
  tokens: readonly ArrayLike<number>[],
  options: HeadOutputsOptions = {},
): HeadOutputs {
  const layers = options.layers ?? layersOf(model);
  const sites = layers.map((layer) => blockSite(layer, "attn.hook_z"));
  const byLayer = model.device.scope(() => {
    const { captured } = model.run(tokens, { capture: sites, logits: "none" });
    return new Map(
      layers.map((layer) => [
        layer,
        headOutputsOf(model, layer, capturedAt(captured, blockSite(layer, "attn.hook_z"))),
      ]),
    );
  });
  return {
    byLayer,
    [Symbol.dispose]() {
      for (const tensor of byLayer.values()) tensor.dispose();
    },
  };
}

/**
 * {@link headOutputs} of one layer from values of its `attn.hook_z`, `[batch, pos, head, d_head]` to `[batch, pos, head, d_model]`:
 * differentiable, and the caller's.
 */
export function headOutputsOf(model: LanguageModel, layer: number, z: Tensor): Tensor {
  const { heads, dHead, dModel } = model.config;
  const [batch = 0, length = 0] = z.shape;
  return model.device.scope(() => {
    const { weight: kept, transposed } = attentionOutput(model, layer);
    // Rows of a stored weight can be decoded only whole, and a head is a part of each.
    const weight = kept instanceof StoredWeight ? kept.dequantize() : kept;
    const outputs = Array.from({ length: heads }, (_, head) => {
      const range = { start: head * dHead, end: (head + 1) * dHead };
      const own = slice(z, { axis: 2, start: head, end: head + 1 }).reshape([
        batch * length,
        dHead,
      ]);
      const written = transposed
        ? matmul(own, slice(weight, { axis: 0, ...range }))
        : linear(own, slice(weight, { axis: 1, ...range }));
      return written.reshape([batch, length, dModel]);
    });
    return stack(outputs, { axis: 2 });
  });
}

/** All layers of a model. */
export function layersOf(model: LanguageModel): number[] {
  return Array.from({ length: model.config.layers }, (_, layer) => layer);
}

/** A captured tensor. */
export function capturedAt(captured: ReadonlyMap<string, Tensor>, site: string): Tensor {
  const value = captured.get(site);
  if (value !== undefined) return value;
  throw new ConfigError({
    code: "ANALYSIS_NOT_CAPTURED",
    message: `the run did not pass ${site}; it captured ${[...captured.keys()].join(", ") || "nothing"}`,
    fix: "capture the site in the run whose values are analysed",
    where: site,
  });
}
