import { Random } from "@latentkit/core";
import { checkTokenizerFits, type Tokenizer } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import { checkConfig, type ModelConfig } from "./config.ts";
import type { ParameterSpec, Weight } from "./families/family.ts";
import { families } from "./families/index.ts";
import { writesFromBlock } from "./families/writers.ts";
import { LanguageModel } from "./language-model.ts";
import { shareTied } from "./weights.ts";

/** Options of {@link randomModel}. */
export interface RandomModelOptions {
  /** Where the weights go; stays the caller's. */
  readonly device: Device;
  /** The same seed and configuration give the same weights. */
  readonly seed: number;
  /** Sizes other than the small default ones. */
  readonly config?: Partial<ModelConfig> | undefined;
  readonly tokenizer?: Tokenizer | null | undefined;
  /**
   * `"even"` (the default) keeps activations at their size. `"training"` divides the matrices that write to the residual stream by
   * `sqrt(2 layers)` as GPT-2 does, so that the stream does not grow with depth at the start of training.
   */
  readonly initialisation?: "even" | "training" | undefined;
}

/**
 * A small model with random weights, a Llama unless the configuration names another architecture: no use as a language model, but
 * everything else works on it.
 *
 * Matrices are normal with variance 1 / inputs, so that activations keep their size; norms multiply by 1 and biases are 0. With a
 * tokenizer, the vocabulary grows to hold its tokens.
 *
 * @throws ConfigError `CONFIG_INVALID` for sizes that contradict each other; MismatchError `TOKENIZER_TOO_LARGE`
 */
export function randomModel(options: RandomModelOptions): LanguageModel {
  const { device, seed, tokenizer = null, initialisation = "even" } = options;
  const architecture = options.config?.architecture ?? "llama";
  const { small } = families[architecture];
  const vocabulary = Math.max(small.vocabulary, tokenizer?.vocabularySize ?? 0);
  const config: ModelConfig = { architecture, ...small, vocabulary, ...options.config };
  checkConfig(config, "randomModel");
  if (tokenizer !== null) checkTokenizerFits(tokenizer, config.vocabulary, "randomModel");
  const specs = families[config.architecture].parameters(config);
  const parameters = new Map<string, Weight>();
  for (const [index, spec] of specs.entries()) {
    if (spec.sameAs !== undefined) continue;
    parameters.set(
      spec.name,
      device.keep(
        device.tensor(
          values(spec, new Random(seed, index), initialisation === "training" ? config.layers : 0),
          spec.shape,
        ),
      ),
    );
  }
  shareTied(parameters, specs);
  const name = `random-${architecture}-${config.layers}x${config.dModel}-seed${seed}`;
  const identity = {
    name,
    architecture: config.architecture,
    weightsHash: `random:${seed}:${initialisation === "even" ? "" : `${initialisation}:`}${JSON.stringify(config)}`,
  };
  return new LanguageModel({ identity, config, device, tokenizer, parameters });
}

/** @param residualLayers layers among which writers to the residual stream share its growth; 0 for none of that */
function values(
  { name, shape, transposed = false, initial = 1 }: ParameterSpec,
  random: Random,
  residualLayers: number,
): Float32Array {
  const [rows = 0, columns] = shape;
  if (columns === undefined) return new Float32Array(rows).fill(initial);
  const writes = residualLayers > 0 && writesFromBlock(name);
  const inputs = transposed ? rows : columns;
  const deviation = 1 / Math.sqrt(inputs * (writes ? 2 * residualLayers : 1));
  return random.fillNormal(new Float32Array(rows * columns), deviation);
}
