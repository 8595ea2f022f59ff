import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import { configUnsupported } from "../config-errors.ts";
import {
  activationName,
  activationOf,
  layerTypes,
  layerTypesOf,
  present,
  readFields,
  size,
  slidingOf,
} from "./config-fields.ts";
import {
  llamaLike,
  llamaLikeConfig,
  llamaLikeFields,
  llamaLikeJson,
  llamaLikeSmall,
} from "./llama-like.ts";

const cap = z.number().positive().nullable();

/** Fields of Gemma 2 and 3, with the defaults that transformers' `Gemma2Config` and `Gemma3TextConfig` share. */
export const gemmaFields = {
  ...llamaLikeFields,
  hidden_size: size.default(2_304),
  intermediate_size: size.default(9_216),
  num_hidden_layers: size.default(26),
  num_attention_heads: size.default(8),
  num_key_value_heads: size.nullable().default(4),
  head_dim: size.default(256),
  hidden_activation: z.string().default("gelu_pytorch_tanh"),
  tie_word_embeddings: z.boolean().default(true),
  eos_token_id: z
    .union([z.int(), z.array(z.int())])
    .nullable()
    .default(1),
  attention_bias: z.boolean().default(false),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: size.nullable().default(4_096),
  layer_types: layerTypes,
  attn_logit_softcapping: cap.default(null),
  final_logit_softcapping: cap.default(null),
  use_bidirectional_attention: z.boolean().nullish(),
};

type GemmaFields = z.infer<z.ZodObject<typeof gemmaFields, z.core.$loose>>;

/** What Gemma 2 and 3 have beside Llama's fields. */
export function gemmaFeatures(
  fields: GemmaFields,
  slides: (layer: number) => boolean,
  where: string | undefined,
): Partial<ModelConfig> {
  if (fields.use_bidirectional_attention)
    throw configUnsupported("use_bidirectional_attention true", "causal attention", where);
  const scalar = fields.query_pre_attn_scalar;
  return {
    ...activationOf(fields.hidden_activation, "hidden_activation", where),
    ...slidingOf(
      fields.sliding_window,
      fields.num_hidden_layers,
      fields.layer_types,
      slides,
      where,
    ),
    ...present({
      attentionBias: fields.attention_bias || undefined,
      attentionScale: scalar === fields.head_dim ? undefined : 1 / Math.sqrt(scalar),
      scoreSoftCap: fields.attn_logit_softcapping ?? undefined,
      logitSoftCap: fields.final_logit_softcapping ?? undefined,
    }),
  };
}

/** What {@link gemmaFeatures} reads back. */
export function gemmaJson(config: ModelConfig): Record<string, unknown> {
  const { attentionScale: scale, dHead } = config;
  const { hidden_act: _, ...fields } = llamaLikeJson(config);
  return {
    ...fields,
    attn_logit_softcapping: config.scoreSoftCap ?? null,
    final_logit_softcapping: config.logitSoftCap ?? null,
    hidden_activation: activationName(config),
    layer_types: layerTypesOf(config),
    query_pre_attn_scalar: scale === undefined ? dHead : scalarOf(scale),
    sliding_window: config.slidingWindow ?? null,
  };
}

/** The scalar whose reciprocal root the scale is: a whole number where one gives that very scale, as transformers wants it. */
function scalarOf(scale: number): number {
  const scalar = 1 / scale ** 2;
  return 1 / Math.sqrt(Math.round(scalar)) === scale ? Math.round(scalar) : scalar;
}

/** A small configuration with Gemma's features. */
export const gemmaSmall = {
  ...llamaLikeSmall,
  activation: "geluTanh",
  slidingWindow: 16,
  slidingLayers: [0],
} as const;

const schema = z.looseObject({
  ...gemmaFields,
  vocab_size: size.default(256_000),
  max_position_embeddings: size.default(8_192),
  attn_logit_softcapping: cap.default(50),
  final_logit_softcapping: cap.default(30),
});

/**
 * Gemma 2 (2408.00118): norms before and after attention and MLP whose weights are counted from 1, embeddings times
 * `sqrt(d_model)`, a sliding window in every other layer, and soft caps of scores and logits.
 */
export const gemma2 = llamaLike(
  {
    small: { ...gemmaSmall, scoreSoftCap: 50, logitSoftCap: 30 },
    parse(raw, where) {
      const fields = readFields(schema, raw, where);
      return {
        ...llamaLikeConfig("gemma2", fields, where),
        ...gemmaFeatures(fields, (layer) => layer % 2 === 0, where),
      };
    },
    configFields: gemmaJson,
  },
  { norms: "both", normOffset: 1, scaledEmbeddings: true },
);
