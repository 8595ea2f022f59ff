import { ConfigError } from "@latentkit/core";
import type { Architecture, LanguageModel, Weight } from "@latentkit/models";
import type { Tensor } from "@latentkit/tensor";

/** A norm between attention and the residual stream. */
export interface OutputNorm {
  /** Hugging Face name of its weight, `[d_model]`. */
  readonly weight: string;
  /** Added to the weight before it is used. */
  readonly offset: 0 | 1;
  /** Site, within its block, of what it divides by. */
  readonly scaleSite: "ln1.hook_scale" | "ln1_post.hook_scale";
}

/** Where an architecture keeps what attribution needs, by Hugging Face names. */
export interface WeightNames {
  /** `[vocabulary, d_model]`. */
  readonly unembedding: string;
  /** Bias of the final LayerNorm, `[d_model]`; null for RMSNorm, which has none and centres nothing. */
  readonly finalNormBias: string | null;
  /** Prefix of a layer's output projection of attention: `.weight`, and `.bias` where the model has one. */
  readonly attentionOutput: (layer: number) => string;
  /** Whether that weight is stored `[heads * d_head, d_model]` instead of the other way round. */
  readonly transposed: boolean;
  /** The norm of what attention adds to the stream; null for none. */
  readonly outputNorm: (layer: number) => OutputNorm | null;
}

const llamaLike: WeightNames = {
  unembedding: "lm_head.weight",
  finalNormBias: null,
  attentionOutput: (layer) => `model.layers.${layer}.self_attn.o_proj`,
  transposed: false,
  outputNorm: () => null,
};

function normed(offset: 0 | 1, scaleSite: OutputNorm["scaleSite"]): WeightNames {
  return {
    ...llamaLike,
    outputNorm: (layer) => ({
      weight: `model.layers.${layer}.post_attention_layernorm.weight`,
      offset,
      scaleSite,
    }),
  };
}

const gemma = normed(1, "ln1_post.hook_scale");

const byArchitecture: Readonly<Record<Architecture, WeightNames>> = {
  llama: llamaLike,
  mistral: llamaLike,
  qwen2: llamaLike,
  qwen3: llamaLike,
  olmo2: normed(0, "ln1.hook_scale"),
  gemma2: gemma,
  gemma3_text: gemma,
  gpt2: {
    unembedding: "lm_head.weight",
    finalNormBias: "transformer.ln_f.bias",
    attentionOutput: (layer) => `transformer.h.${layer}.attn.c_proj`,
    transposed: true,
    outputNorm: () => null,
  },
  gpt_neox: {
    unembedding: "embed_out.weight",
    finalNormBias: "gpt_neox.final_layer_norm.bias",
    attentionOutput: (layer) => `gpt_neox.layers.${layer}.attention.dense`,
    transposed: false,
    outputNorm: () => null,
  },
};

/** The names for a model. */
export function weightNames(model: LanguageModel): WeightNames {
  return byArchitecture[model.config.architecture];
}

/** A layer's output projection of attention. The weight is the model's own, `[d_model, heads * d_head]` or transposed. */
export function attentionOutput(
  model: LanguageModel,
  layer: number,
): { readonly weight: Weight; readonly bias: Tensor | null; readonly transposed: boolean } {
  const names = weightNames(model);
  const at = names.attentionOutput(layer);
  return {
    weight: model.weight(`${at}.weight`),
    bias: optionalParameter(model, `${at}.bias`),
    transposed: names.transposed,
  };
}

/** A parameter that only some models of an architecture have. */
function optionalParameter(model: LanguageModel, name: string): Tensor | null {
  try {
    return model.parameter(name);
  } catch (error) {
    if (error instanceof ConfigError && error.code === "PARAMETER_UNKNOWN") return null;
    throw error;
  }
}
