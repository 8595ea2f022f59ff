import type { Activation, RopeScaling } from "@latentkit/tensor";
import { configInvalid } from "./config-errors.ts";

/** Architectures that there are, by the `model_type` that Hugging Face gives them. */
export const architectures = [
  "llama",
  "mistral",
  "qwen2",
  "qwen3",
  "olmo2",
  "gemma2",
  "gemma3_text",
  "gpt2",
  "gpt_neox",
] as const;

/** One of {@link architectures}. */
export type Architecture = (typeof architectures)[number];

/**
 * What a forward pass needs to know about a model. Sizes are counts of elements; names follow TransformerLens where it has one.
 * Optional fields are there only where the feature is.
 */
export interface ModelConfig {
  readonly architecture: Architecture;
  readonly layers: number;
  readonly dModel: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; each serves `heads / kvHeads` query heads. */
  readonly kvHeads: number;
  readonly dHead: number;
  readonly dMlp: number;
  /** Rows of the embedding. */
  readonly vocabulary: number;
  /** Positions that the model was made for; with `dynamic` scaling its factor times as many as it was trained for. */
  readonly contextSize: number;
  /** Base of the rotary frequencies (`rope_theta`). Absent where positions are learned (GPT-2). */
  readonly ropeBase?: number;
  /** Added to the mean square in RMSNorm, to the variance in LayerNorm. */
  readonly normEpsilon: number;
  /** Whether the unembedding is the embedding. */
  readonly tiedEmbeddings: boolean;
  /** Tokens at which generation ends (`eos_token_id`). */
  readonly endTokens: readonly number[];
  /** How the rotary frequencies were stretched for longer contexts. */
  readonly ropeScaling?: RopeScaling;
  /** Leading features of each head that are rotated, where they are not all of them. */
  readonly dRotary?: number;
  /** Base of the rotary frequencies in layers with a sliding window, which are never scaled (Gemma 3). */
  readonly localRopeBase?: number;
  /** A query at position p sees keys `p - slidingWindow + 1 .. p`. */
  readonly slidingWindow?: number;
  /** Layers that have the window, ascending; all of them where it is absent. */
  readonly slidingLayers?: readonly number[];
  /** Factor of the attention scores, where it is not `1 / sqrt(dHead)`. */
  readonly attentionScale?: number;
  /** The factor of layer L's scores is divided by L + 1 (GPT-2's `scale_attn_by_inverse_layer_idx`). */
  readonly scaleByLayer?: true;
  /** Attention scores s become `softCap * tanh(s / softCap)`. */
  readonly scoreSoftCap?: number;
  /** Logits become `softCap * tanh(logits / softCap)`. */
  readonly logitSoftCap?: number;
  /** The MLP's activation, where it is not SiLU. */
  readonly activation?: Exclude<Activation, "silu">;
  /** Biases of the four projections of attention, in families where they are a choice. */
  readonly attentionBias?: true;
  /** Biases of the MLP's projections, in families where they are a choice. */
  readonly mlpBias?: true;
  /** Attention and MLP read the same residual stream (GPT-NeoX's `use_parallel_residual`). */
  readonly parallelResidual?: true;
}

/** Whether a layer's attention has the sliding window. */
export function isSliding(config: ModelConfig, layer: number): boolean {
  return config.slidingWindow !== undefined && (config.slidingLayers?.includes(layer) ?? true);
}

/** Throws ConfigError `CONFIG_INVALID` where sizes contradict each other. */
export function checkConfig(config: ModelConfig, where?: string): void {
  const { heads, kvHeads, dHead, dModel, dMlp, layers, vocabulary, contextSize } = config;
  const { slidingWindow, dRotary } = config;
  for (const [name, value] of Object.entries({
    heads,
    kvHeads,
    dHead,
    dModel,
    dMlp,
    layers,
    vocabulary,
    contextSize,
    ...(slidingWindow === undefined ? {} : { slidingWindow }),
    ...(dRotary === undefined ? {} : { dRotary }),
  })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw configInvalid(`${name} is ${value}, not a positive integer`, where);
  }
  if (heads % kvHeads !== 0) {
    throw configInvalid(
      `${heads} query heads cannot share ${kvHeads} key/value heads evenly`,
      where,
    );
  }
  if (config.ropeBase !== undefined) checkRotary(dRotary ?? dHead, dHead, where);
  const outside = config.slidingLayers?.find((layer) => layer < 0 || layer >= layers);
  if (outside !== undefined)
    throw configInvalid(`layer ${outside} has a window in a model of ${layers} layers`, where);
}

function checkRotary(dRotary: number, dHead: number, where: string | undefined): void {
  if (dRotary > dHead)
    throw configInvalid(`${dRotary} features of a head of ${dHead} are to be rotated`, where);
  if (dRotary % 2 === 0) return;
  throw configInvalid(
    dRotary === dHead
      ? `a head width of ${dHead} is odd, and rotary embeddings turn pairs`
      : `${dRotary} rotated features are odd, and rotary embeddings turn pairs`,
    where,
  );
}
