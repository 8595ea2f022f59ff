import type { withAdapter } from "@latentkit/lora";
import { LanguageModel } from "@latentkit/models";

/** Merged weights over a base; see `withAdapter`. */
type Adapted = Awaited<ReturnType<typeof withAdapter>>;

/** A model with an adapter merged in that owns its base too: disposing it frees both. */
export class AdaptedModel extends LanguageModel {
  readonly #base: LanguageModel;
  readonly #adapted: Adapted;

  constructor(name: string, base: LanguageModel, adapted: Adapted) {
    const { model } = adapted;
    // Of tied weights, trainableParameters gives only the stored one; the forward pass asks for the other by name.
    const tied = ["lm_head.weight", model.weight("lm_head.weight")] as const;
    super({
      identity: { ...model.identity(), name },
      config: model.config,
      device: model.device,
      tokenizer: model.tokenizer,
      parameters: new Map([...Object.entries(model.trainableParameters()), tied]),
      borrowed: true,
    });
    this.#base = base;
    this.#adapted = adapted;
  }

  override dispose(): void {
    super.dispose();
    this.#adapted.dispose();
    this.#base.dispose();
  }
}
