import { Random } from "@latentkit/core";
import { checkTokenizerFits, type Tokenizer } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import { checkConfig, type ModelConfig } from "./config.ts";
import type { ParameterSpec, Weight } from "./families/family.ts";
import { families } from "./families/index.ts";
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
}

const small: ModelConfig = {
  architecture: "llama",
  layers: 2,
  dModel: 64,
  heads: 4,
  kvHeads: 2,
  dHead: 16,
  dMlp: 128,
  vocabulary: 256,
  contextSize: 128,
  ropeBase: 10_000,
  normEpsilon: 1e-5,
  tiedEmbeddings: true,
  endTokens: [],
};

/**
 * A small Llama with random weights: no use as a language model, but everything else works on it.
 *
 * Matrices are normal with variance 1 / inputs, so that activations keep their size; norm weights are 1. With a tokenizer, the
 * vocabulary grows to hold its tokens.
 *
 * @throws ConfigError `CONFIG_INVALID` for sizes that contradict each other; MismatchError `TOKENIZER_TOO_LARGE`
 */
export function randomModel(options: RandomModelOptions): LanguageModel {
  const { device, seed, tokenizer = null } = options;
  const vocabulary = Math.max(small.vocabulary, tokenizer?.vocabularySize ?? 0);
  const config: ModelConfig = { ...small, vocabulary, ...options.config };
  checkConfig(config, "randomModel");
  if (tokenizer !== null) checkTokenizerFits(tokenizer, config.vocabulary, "randomModel");
  const specs = families[config.architecture].parameters(config);
  const parameters = new Map<string, Weight>();
  for (const [index, spec] of specs.entries()) {
    if (spec.sameAs !== undefined) continue;
    parameters.set(
      spec.name,
      device.keep(device.tensor(values(spec, new Random(seed, index)), spec.shape)),
    );
  }
  shareTied(parameters, specs, device);
  const name = `random-llama-${config.layers}x${config.dModel}-seed${seed}`;
  const identity = {
    name,
    architecture: config.architecture,
    weightsHash: `random:${seed}:${JSON.stringify(config)}`,
  };
  return new LanguageModel({ identity, config, device, tokenizer, parameters });
}

function values({ shape }: ParameterSpec, random: Random): Float32Array {
  const [rows = 0, columns] = shape;
  if (columns === undefined) return new Float32Array(rows).fill(1);
  return random.fillNormal(new Float32Array(rows * columns), 1 / Math.sqrt(columns));
}
