import { DeviceError, MismatchError } from "@latentkit/core";
import { type LanguageModel, linearLayers } from "@latentkit/models";
import { add, matmul, type Tensor } from "@latentkit/tensor";
import type { LoraAdapter } from "./adapter.ts";
import { requireFactorShape } from "./adapter.ts";

/** How much of an adapter counts. */
export interface AdapterStrength {
  /** Multiplies the adapter's own scale: 0 is the base model, 1 (the default) the adapter as trained, -1 its opposite. */
  readonly scale?: number | undefined;
}

/**
 * The weights that an adapter changes, by their Hugging Face names: `W + scale B A`, f32, or its transpose where the model stores the
 * weight `[in, out]`. Differentiable in A and B; call it where the tape records, and give the result to `model.withWeights`. The
 * tensors are the caller's, or the open scope's.
 *
 * @throws DeviceError `DEVICE_MISMATCH`; MismatchError `ADAPTER_MODULES` or ShapeError `ADAPTER_SHAPE` for a model of another
 *   architecture or of other sizes
 */
export function effectiveWeights(
  model: LanguageModel,
  adapter: LoraAdapter,
  strength: AdapterStrength = {},
): ReadonlyMap<string, Tensor> {
  return changedWeights(model, adapter, strength, (name) => model.parameter(name));
}

/** {@link effectiveWeights} of the weights that `weightOf` gives, in scopes of their own. */
export function changedWeights(
  model: LanguageModel,
  adapter: LoraAdapter,
  { scale = 1 }: AdapterStrength,
  weightOf: (name: string) => Tensor,
): ReadonlyMap<string, Tensor> {
  requireFits(model, adapter);
  const alpha = adapter.scale * scale;
  return new Map(
    adapter.modules.map(({ name, transposed }) => {
      const { a, b } = adapter.pair(name);
      const key = `${name}.weight`;
      const changed = model.device.scope(() => {
        const change = transposed
          ? matmul(a, b, { alpha, transposeA: true, transposeB: true })
          : matmul(b, a, { alpha });
        return add(weightOf(key), change);
      });
      return [key, changed] as const;
    }),
  );
}

function requireFits(model: LanguageModel, adapter: LoraAdapter): void {
  if (model.device !== adapter.device) {
    throw new DeviceError({
      code: "DEVICE_MISMATCH",
      message: `the adapter is on another device (${adapter.device.info.name}) than the model (${model.device.info.name})`,
      fix: "make or load the adapter with the model that it is used with",
    });
  }
  const layers = new Map(linearLayers(model.config).map((layer) => [layer.name, layer]));
  for (const { name, inputs, outputs } of adapter.modules) {
    const own = layers.get(name);
    if (own === undefined) {
      throw new MismatchError({
        code: "ADAPTER_MODULES",
        message: `the adapter changes ${name}, which a ${model.config.architecture} model of ${model.config.layers} layers does not have`,
        fix: "use the adapter with the model that it was trained on",
      });
    }
    requireFactorShape(`${name}.weight`, [own.outputs, own.inputs], [outputs, inputs]);
  }
}
