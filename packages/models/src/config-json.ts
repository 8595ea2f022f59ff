import type { ModelConfig } from "./config.ts";

/** What goes into `config.json` beside the sizes. */
export interface ModelConfigJsonOptions {
  /** How the weights are stored; f32 by default. */
  readonly dtype?: "f32" | "f16" | "bf16" | undefined;
  /** Token that begins a text, if there is one. */
  readonly bosToken?: number | null | undefined;
  /** Token that fills rows up, if there is one. */
  readonly padToken?: number | null | undefined;
}

const dtypeNames = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;

/**
 * The Hugging Face `config.json` of a model: `LlamaForCausalLM`, for transformers 4 (`rope_theta`, `torch_dtype`) and 5
 * (`rope_parameters`, `dtype`). `parseConfig` reads it back.
 */
export function modelConfigJson(
  config: ModelConfig,
  { dtype = "f32", bosToken = null, padToken = null }: ModelConfigJsonOptions = {},
): Record<string, unknown> {
  const [firstEnd = null] = config.endTokens;
  return {
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: bosToken,
    dtype: dtypeNames[dtype],
    eos_token_id: config.endTokens.length > 1 ? config.endTokens : firstEnd,
    head_dim: config.dHead,
    hidden_act: "silu",
    hidden_size: config.dModel,
    initializer_range: 0.02,
    intermediate_size: config.dMlp,
    max_position_embeddings: config.contextSize,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.kvHeads,
    pad_token_id: padToken,
    rms_norm_eps: config.normEpsilon,
    rope_parameters: { rope_theta: config.ropeBase, rope_type: "default" },
    rope_theta: config.ropeBase,
    tie_word_embeddings: config.tiedEmbeddings,
    torch_dtype: dtypeNames[dtype],
    use_cache: true,
    vocab_size: config.vocabulary,
  };
}
