import type { Tokenizer } from "@latentkit/loaders";
import type { ModelIdentity, Site } from "@latentkit/models";
import type { BackendInfo } from "@latentkit/tensor";

/** What harvest needs to know of a place in a model. */
export type ActivationSite = Pick<Site, "name" | "shape" | "width">;

/** What one run gives back. Whoever runs disposes. */
export interface ActivationRun {
  readonly captured: ReadonlyMap<string, { floats(): Promise<Float32Array> }>;
  dispose(): void;
}

/**
 * What harvest needs of a model. `LanguageModel` of `@latentkit/models` is one; anything else that reads tokens and shows its
 * activations may be.
 */
export interface ActivationModel {
  readonly config: { readonly contextSize: number };
  readonly device: { readonly info: BackendInfo };
  readonly tokenizer: Tokenizer | null;
  identity(): ModelIdentity;
  site(name: string): ActivationSite;
  run(
    tokens: readonly (readonly number[])[],
    options: { readonly capture: readonly string[]; readonly logits: "all" | "none" },
  ): ActivationRun;
}
