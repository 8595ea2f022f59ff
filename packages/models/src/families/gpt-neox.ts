import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import { configInvalid } from "../config-errors.ts";
import {
  activationName,
  activationOf,
  commonFields,
  endTokensOf,
  present,
  readFields,
  size,
} from "./config-fields.ts";
import type { Family } from "./family.ts";
import { layerNormLike, layerNormLikeSmall } from "./layer-norm-like.ts";
import { ropeFields, ropeJson, ropeOf } from "./rope-fields.ts";

/** With the defaults of transformers' `GPTNeoXConfig`. */
const schema = z.looseObject({
  ...commonFields,
  ...ropeFields,
  vocab_size: size.default(50_432),
  hidden_size: size.default(6_144),
  intermediate_size: size.default(24_576),
  num_hidden_layers: size.default(44),
  num_attention_heads: size.default(64),
  max_position_embeddings: size.default(2_048),
  hidden_act: z.string().default("gelu"),
  layer_norm_eps: z.number().nonnegative().default(1e-5),
  eos_token_id: z
    .union([z.int(), z.array(z.int())])
    .nullable()
    .default(2),
  use_parallel_residual: z.boolean().default(true),
  attention_bias: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(false),
  // transformers 4
  rotary_pct: z.number().positive().max(1).nullish(),
  rotary_emb_base: z.number().positive().nullish(),
});

function parse(raw: unknown, where: string | undefined): ModelConfig {
  const fields = readFields(schema, raw, where);
  const { hidden_size: dModel, num_attention_heads: heads } = fields;
  if (dModel % heads !== 0)
    throw configInvalid(`hidden_size ${dModel} cannot be shared by ${heads} heads evenly`, where);
  const dHead = dModel / heads;
  const own = { base: fields.rotary_emb_base ?? 10_000, partial: fields.rotary_pct ?? 0.25 };
  return {
    architecture: "gpt_neox",
    layers: fields.num_hidden_layers,
    dModel,
    heads,
    kvHeads: heads,
    dHead,
    dMlp: fields.intermediate_size,
    vocabulary: fields.vocab_size,
    ...ropeOf(fields, { dHead, ...own }, where),
    normEpsilon: fields.layer_norm_eps,
    tiedEmbeddings: fields.tie_word_embeddings,
    endTokens: endTokensOf(fields.eos_token_id),
    ...activationOf(fields.hidden_act, "hidden_act", where),
    ...present({
      attentionBias: fields.attention_bias || undefined,
      parallelResidual: fields.use_parallel_residual || undefined,
    }),
  };
}

function configFields(config: ModelConfig): Record<string, unknown> {
  // transformers' GPT-NeoX does not read these under the names that the others have.
  const { rope_theta: _, partial_rotary_factor: __, ...rope } = ropeJson(config);
  const { dHead, dRotary = dHead } = config;
  return {
    attention_bias: config.attentionBias ?? false,
    hidden_act: activationName(config),
    hidden_size: config.dModel,
    intermediate_size: config.dMlp,
    layer_norm_eps: config.normEpsilon,
    max_position_embeddings: config.contextSize,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    ...rope,
    // Written even where it is 1, since a quarter is the default.
    rope_parameters: { ...record(rope["rope_parameters"]), partial_rotary_factor: dRotary / dHead },
    rotary_emb_base: config.ropeBase,
    rotary_pct: dRotary / dHead,
    tie_word_embeddings: config.tiedEmbeddings,
    use_parallel_residual: config.parallelResidual ?? false,
    vocab_size: config.vocabulary,
  };
}

function record(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {};
}

/** GPT-NeoX (2204.06745) and Pythia (2304.01373): LayerNorm, biases, rotated quarters of heads, attention and MLP in parallel. */
export const gptNeoX: Family = layerNormLike(
  {
    parse,
    configFields,
    small: {
      ...layerNormLikeSmall,
      ropeBase: 10_000,
      tiedEmbeddings: false,
      activation: "gelu",
      dRotary: 4,
      attentionBias: true,
      parallelResidual: true,
    },
  },
  {
    embedding: "gpt_neox.embed_in.weight",
    positions: null,
    block: (layer) => `gpt_neox.layers.${layer}.`,
    parts: {
      attentionNorm: "input_layernorm",
      queryKeyValue: "attention.query_key_value",
      attentionOutput: "attention.dense",
      mlpNorm: "post_attention_layernorm",
      up: "mlp.dense_h_to_4h",
      down: "mlp.dense_4h_to_h",
    },
    finalNorm: "gpt_neox.final_layer_norm",
    unembedding: "embed_out.weight",
    order: "heads",
    transposed: false,
    aliases: (name) => (name === "embed_out.weight" ? ["lm_head.weight"] : []),
    attentionBias: (config) => config.attentionBias ?? false,
    scale: ({ dHead }) => 1 / Math.sqrt(dHead),
  },
);
