import type { LongCallOptions } from "@latentkit/core";
import { type Checkpoint, checkTokenizerFits } from "@latentkit/loaders";
import type { Device, StoredActivations } from "@latentkit/tensor";
import { families } from "./families/index.ts";
import { LanguageModel } from "./language-model.ts";
import { parseConfig } from "./parse-config.ts";
import { disposeParameters, loadWeights } from "./weights.ts";

/** Options of {@link loadModel}. */
export interface LoadModelOptions extends LongCallOptions {
  /** Where the weights go; stays the caller's. */
  readonly device: Device;
  /**
   * `"stored"` (the default) keeps matrices in the format of the file where the device has kernels for it: generating a token then
   * moves the stored bytes, and a model may be larger than what tensors may take. `"f32"` makes tensors of them, for gradients to
   * weights and for changing them. Norms are f32 always.
   */
  readonly weights?: "stored" | "f32" | undefined;
  /** `"i16"` makes generation with quantised weights faster and less exact, see `StoredWeightOptions`; `"f32"` by default. */
  readonly activations?: StoredActivations | undefined;
}

/**
 * Puts a checkpoint's model on a device, tensor by tensor and large ones in pieces. The checkpoint may be closed afterwards.
 *
 * @throws ConfigError `MODEL_UNSUPPORTED`, `CONFIG_INVALID` (see `parseConfig`); MismatchError `WEIGHTS_MISSING`, `WEIGHTS_SHAPE`,
 *   `WEIGHTS_UNEXPECTED`, `WEIGHTS_TIED`, `TOKENIZER_TOO_LARGE`; DeviceError `DEVICE_OUT_OF_MEMORY`; AbortedError. Nothing is left on the device
 *   then.
 */
export async function loadModel(
  checkpoint: Checkpoint,
  options: LoadModelOptions,
): Promise<LanguageModel> {
  const { device, signal } = options;
  const config = parseConfig(checkpoint.config, checkpoint.name);
  const { tokenizer } = checkpoint;
  if (tokenizer !== null) checkTokenizerFits(tokenizer, config.vocabulary, checkpoint.name);
  const family = families[config.architecture];
  const specs = family.parameters(config);
  const parameters = await loadWeights(checkpoint.tensors, specs, device, {
    ...options,
    otherTensors: family.otherTensors,
    unembedding: family.unembedding,
  });
  try {
    const weightsHash = await checkpoint.weightsHash(signal);
    const identity = { name: checkpoint.name, architecture: config.architecture, weightsHash };
    return new LanguageModel({ identity, config, device, tokenizer, parameters });
  } catch (error) {
    disposeParameters(parameters);
    throw error;
  }
}
