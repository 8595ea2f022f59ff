import { DeviceError, MismatchError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { add, matmul, type Tensor } from "@latentkit/tensor";
import type { LoraAdapter } from "./adapter.ts";
import { requireFactorShape } from "./adapter.ts";

/** How much of an adapter counts. */
export interface AdapterStrength {
  /** Multiplies the adapter's own scale: 0 is the base model, 1 (the default) the adapter as trained, -1 its opposite. */
  readonly scale?: number | undefined;
}

/**
 * The weights that an adapter changes, by their Hugging Face names: `W + scale B A`, f32. Differentiable in A and B; call it where
 * the tape records, and give the result to `model.withWeights`. The tensors are the caller's, or the open scope's.
 *
 * @throws DeviceError `DEVICE_MISMATCH`; MismatchError `ADAPTER_MODULES` or ShapeError `ADAPTER_SHAPE` for a model of other sizes
 */
export function effectiveWeights(
  model: LanguageModel,
  adapter: LoraAdapter,
  { scale = 1 }: AdapterStrength = {},
): ReadonlyMap<string, Tensor> {
  requireFits(model, adapter);
  const alpha = adapter.scale * scale;
  return new Map(
    adapter.modules.map(({ name }) => {
      const { a, b } = adapter.pair(name);
      const key = `${name}.weight`;
      const weight = model.parameter(key);
      const [changed] = model.device.scope(() => [add(weight, matmul(b, a, { alpha }))]);
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
  const deepest = adapter.modules.at(-1);
  if (deepest !== undefined && deepest.layer >= model.config.layers) {
    throw new MismatchError({
      code: "ADAPTER_MODULES",
      message: `the adapter changes ${deepest.name}, and the model has ${model.config.layers} layers`,
      fix: "use the adapter with the model that it was trained on",
    });
  }
  for (const { name, inputs, outputs } of adapter.modules)
    requireFactorShape(`${name}.weight`, model.parameter(`${name}.weight`).shape, [
      outputs,
      inputs,
    ]);
}
