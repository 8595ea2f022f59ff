import { ConfigError } from "@latentkit/core";
import * as z from "zod";

/** What a forward pass needs to know about a model. Sizes are counts of elements; names follow TransformerLens where it has one. */
export interface ModelConfig {
  readonly architecture: "llama";
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
  /** Positions that the model was made for. */
  readonly contextSize: number;
  /** Base of the rotary frequencies (`rope_theta`). */
  readonly ropeBase: number;
  /** Added to the mean square in RMSNorm. */
  readonly normEpsilon: number;
  /** Whether the unembedding is the embedding. */
  readonly tiedEmbeddings: boolean;
  /** Tokens at which generation ends (`eos_token_id`). */
  readonly endTokens: readonly number[];
}

const size = z.int().positive();
const rope = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().optional(),
});

/** `config.json` of the Llama family as transformers 4 and 5 write it, with the defaults of transformers' `LlamaConfig`. */
const llamaSchema = z.looseObject({
  model_type: z.literal("llama"),
  vocab_size: size.default(32_000),
  hidden_size: size.default(4_096),
  intermediate_size: size.default(11_008),
  num_hidden_layers: size.default(32),
  num_attention_heads: size.default(32),
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  hidden_act: z.string().default("silu"),
  max_position_embeddings: size.default(2_048),
  rms_norm_eps: z.number().nonnegative().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  // transformers 4
  rope_theta: z.number().positive().nullish(),
  rope_scaling: rope.nullish(),
  // transformers 5
  rope_parameters: rope.nullish(),
  partial_rotary_factor: z.number().nullish(),
  quantization_config: z.unknown().optional(),
});

type LlamaFields = z.infer<typeof llamaSchema>;

/**
 * Reads a Hugging Face `config.json` (or the object that `loaders` makes from GGUF metadata).
 *
 * @param raw the parsed JSON
 * @param where named in errors, for example the checkpoint's path
 * @throws ConfigError `MODEL_UNSUPPORTED` for another architecture or a feature that is not implemented, naming both it and what
 *   is supported; `CONFIG_INVALID` for fields that are missing, of the wrong type, or contradict each other
 */
export function parseConfig(raw: unknown, where?: string): ModelConfig {
  const type = z.looseObject({ model_type: z.string() }).safeParse(raw);
  if (!type.success) {
    throw invalid("the configuration has no model_type", where);
  }
  if (type.data.model_type !== "llama") {
    throw unsupported(`model_type "${type.data.model_type}"`, 'model_type "llama"', where);
  }
  const parsed = llamaSchema.safeParse(raw);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw invalid(faults.join("; "), where);
  }
  const fields = parsed.data;
  refuseUnsupported(fields, where);
  const heads = fields.num_attention_heads;
  const config: ModelConfig = {
    architecture: "llama",
    layers: fields.num_hidden_layers,
    dModel: fields.hidden_size,
    heads,
    kvHeads: fields.num_key_value_heads ?? heads,
    dHead: fields.head_dim ?? Math.floor(fields.hidden_size / heads),
    dMlp: fields.intermediate_size,
    vocabulary: fields.vocab_size,
    contextSize: fields.max_position_embeddings,
    ropeBase: fields.rope_parameters?.rope_theta ?? fields.rope_theta ?? 10_000,
    normEpsilon: fields.rms_norm_eps,
    tiedEmbeddings: fields.tie_word_embeddings,
    endTokens: [fields.eos_token_id ?? []].flat(),
  };
  checkConfig(config, where);
  return config;
}

/** Throws ConfigError `CONFIG_INVALID` where sizes contradict each other. */
export function checkConfig(config: ModelConfig, where?: string): void {
  const { heads, kvHeads, dHead, dModel, dMlp, layers, vocabulary, contextSize } = config;
  for (const [name, value] of Object.entries({
    heads,
    kvHeads,
    dHead,
    dModel,
    dMlp,
    layers,
    vocabulary,
    contextSize,
  })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw invalid(`${name} is ${value}, not a positive integer`, where);
  }
  if (heads % kvHeads !== 0) {
    throw invalid(`${heads} query heads cannot share ${kvHeads} key/value heads evenly`, where);
  }
  if (dHead % 2 !== 0) {
    throw invalid(`a head width of ${dHead} is odd, and rotary embeddings turn pairs`, where);
  }
}

function refuseUnsupported(fields: LlamaFields, where: string | undefined): void {
  const scaling = fields.rope_parameters ?? fields.rope_scaling;
  const ropeType = scaling?.rope_type ?? scaling?.type ?? "default";
  const partial =
    fields.rope_parameters?.partial_rotary_factor ?? fields.partial_rotary_factor ?? 1;
  if (ropeType !== "default")
    throw unsupported(`rope scaling "${ropeType}"`, 'rope type "default"', where);
  if (partial !== 1)
    throw unsupported(
      `partial_rotary_factor ${partial}`,
      "rotary embeddings over the whole head",
      where,
    );
  if (fields.hidden_act !== "silu")
    throw unsupported(`hidden_act "${fields.hidden_act}"`, 'hidden_act "silu"', where);
  if (fields.attention_bias)
    throw unsupported("attention_bias true", "attention without biases", where);
  if (fields.mlp_bias) throw unsupported("mlp_bias true", "an MLP without biases", where);
  if (fields.quantization_config !== undefined && fields.quantization_config !== null) {
    throw unsupported("quantization_config", "f32, f16 and bf16 safetensors, and GGUF", where);
  }
}

function unsupported(given: string, supported: string, where: string | undefined): ConfigError {
  return new ConfigError({
    code: "MODEL_UNSUPPORTED",
    message: `the model has ${given}; supported is the Llama family with ${supported}`,
    fix: "use a model of the Llama family without this feature, for example SmolLM2, Llama 2 or TinyLlama",
    where,
  });
}

function invalid(message: string, where: string | undefined): ConfigError {
  return new ConfigError({
    code: "CONFIG_INVALID",
    message: `the model's configuration is not valid: ${message}`,
    fix: "use the config.json that came with the weights",
    where,
  });
}
