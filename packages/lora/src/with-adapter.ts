import { hashBytes } from "@latentkit/loaders";
import type { LanguageModel, ModelIdentity } from "@latentkit/models";
import { noGrad, type Tensor } from "@latentkit/tensor";
import type { LoraAdapter } from "./adapter.ts";
import { type AdapterStrength, changedWeights } from "./effective-weights.ts";
import { peftConfigOf } from "./peft/peft-config.ts";

/** A model with an adapter merged in, see {@link withAdapter}. */
export interface AdaptedView extends Disposable {
  /** Runs, generates and names sites as any model does; its identity names base and adapter. */
  readonly model: LanguageModel;
  /** Frees the merged weights; the base model and the adapter stay as they are. */
  dispose(): void;
}

/**
 * The model with `W + scale B A` in place of each adapted weight: for inference, as fast as the base model. It is a copy of the adapted
 * weights and borrows the others, so the base model must outlive it; later changes of the adapter do not show in it.
 *
 * @throws what `effectiveWeights` throws
 *
 * @example
 * using adapted = await withAdapter(model, adapter);
 * for await (const { text } of adapted.model.generate({ prompt: "Once" })) write(text);
 */
export async function withAdapter(
  model: LanguageModel,
  adapter: LoraAdapter,
  { scale = 1 }: AdapterStrength = {},
): Promise<AdaptedView> {
  const identity = await adaptedIdentity(model, adapter, scale);
  const { device } = model;
  const merged = noGrad(device, () =>
    // A copy of a stored weight is needed once, so that the model need not keep it.
    changedWeights(model, adapter, { scale }, (name) => model.denseWeight(name)),
  );
  const weights: Tensor[] = [...merged.values()].map((weight) => device.keep(weight));
  const view = model.withWeights(merged, identity);
  const dispose = (): void => {
    view.dispose();
    for (const weight of weights) weight.dispose();
  };
  return { model: view, dispose, [Symbol.dispose]: dispose };
}

/** Base and adapter, by the hashes of their weights. */
async function adaptedIdentity(
  model: LanguageModel,
  adapter: LoraAdapter,
  scale: number,
): Promise<ModelIdentity> {
  const base = model.identity();
  const parts: Uint8Array[] = [
    new TextEncoder().encode(JSON.stringify({ ...peftConfigOf(adapter), scale })),
  ];
  for (const { a, b } of (await adapter.values()).values())
    for (const { buffer, byteOffset, byteLength } of [a, b])
      parts.push(new Uint8Array(buffer, byteOffset, byteLength));
  const hash = hashBytes(joined(parts));
  return {
    ...base,
    name: `${base.name}+lora`,
    weightsHash: `${base.weightsHash}+lora:${hash}`,
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
