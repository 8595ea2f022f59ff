import type { Architecture, ModelConfig } from "./config.ts";
import { families } from "./families/index.ts";

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
 * The text of a `config.json`. transformers 5 wants soft caps with a decimal point, as Python writes floats, and refuses the whole
 * configuration without.
 */
export function modelConfigText(json: Record<string, unknown>): string {
  const text = JSON.stringify(json, null, 2);
  return `${text.replace(/^( {2}"\w+_logit_softcapping": \d+)(?=,?$)/gmu, "$1.0")}\n`;
}

/** The class of transformers that has each architecture's head. */
const classes: Readonly<Record<Architecture, string>> = {
  llama: "LlamaForCausalLM",
  mistral: "MistralForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM",
  olmo2: "Olmo2ForCausalLM",
  gemma2: "Gemma2ForCausalLM",
  gemma3_text: "Gemma3ForCausalLM",
  gpt2: "GPT2LMHeadModel",
  gpt_neox: "GPTNeoXForCausalLM",
};

/**
 * The Hugging Face `config.json` of a model, for transformers 4 (`rope_theta`, `torch_dtype`) and 5 (`rope_parameters`, `dtype`).
 * `parseConfig` reads it back.
 */
export function modelConfigJson(
  config: ModelConfig,
  { dtype = "f32", bosToken = null, padToken = null }: ModelConfigJsonOptions = {},
): Record<string, unknown> {
  const [firstEnd = null] = config.endTokens;
  const fields = {
    ...families[config.architecture].configFields(config),
    architectures: [classes[config.architecture]],
    bos_token_id: bosToken,
    dtype: dtypeNames[dtype],
    eos_token_id: config.endTokens.length > 1 ? config.endTokens : firstEnd,
    initializer_range: 0.02,
    model_type: config.architecture,
    pad_token_id: padToken,
    torch_dtype: dtypeNames[dtype],
    use_cache: true,
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}
