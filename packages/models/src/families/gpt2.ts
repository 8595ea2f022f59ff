import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import { configInvalid, configUnsupported } from "../config-errors.ts";
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

/** With the defaults of transformers' `GPT2Config`. */
const schema = z.looseObject({
  ...commonFields,
  vocab_size: size.default(50_257),
  n_positions: size.default(1_024),
  n_embd: size.default(768),
  n_layer: size.default(12),
  n_head: size.default(12),
  n_inner: size.nullish(),
  activation_function: z.string().default("gelu_new"),
  layer_norm_epsilon: z.number().nonnegative().default(1e-5),
  eos_token_id: z
    .union([z.int(), z.array(z.int())])
    .nullable()
    .default(50_256),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  add_cross_attention: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
});

function parse(raw: unknown, where: string | undefined): ModelConfig {
  const fields = readFields(schema, raw, where);
  const { n_embd: dModel, n_head: heads } = fields;
  if (dModel % heads !== 0)
    throw configInvalid(`n_embd ${dModel} cannot be shared by ${heads} heads evenly`, where);
  if (fields.add_cross_attention)
    throw configUnsupported("add_cross_attention true", "self-attention alone", where);
  return {
    architecture: "gpt2",
    layers: fields.n_layer,
    dModel,
    heads,
    kvHeads: heads,
    dHead: dModel / heads,
    dMlp: fields.n_inner ?? 4 * dModel,
    vocabulary: fields.vocab_size,
    contextSize: fields.n_positions,
    normEpsilon: fields.layer_norm_epsilon,
    tiedEmbeddings: fields.tie_word_embeddings,
    endTokens: endTokensOf(fields.eos_token_id),
    ...activationOf(fields.activation_function, "activation_function", where),
    ...present({
      attentionScale: fields.scale_attn_weights ? undefined : 1,
      scaleByLayer: fields.scale_attn_by_inverse_layer_idx || undefined,
    }),
  };
}

function configFields(config: ModelConfig): Record<string, unknown> {
  return {
    activation_function: activationName(config, "gelu_new"),
    attn_pdrop: 0,
    embd_pdrop: 0,
    layer_norm_epsilon: config.normEpsilon,
    n_embd: config.dModel,
    n_head: config.heads,
    n_inner: config.dMlp,
    n_layer: config.layers,
    n_positions: config.contextSize,
    resid_pdrop: 0,
    scale_attn_by_inverse_layer_idx: config.scaleByLayer ?? false,
    scale_attn_weights: config.attentionScale === undefined,
    tie_word_embeddings: config.tiedEmbeddings,
    vocab_size: config.vocabulary,
  };
}

/** GPT-2: LayerNorm, learned positions, biases everywhere, and weights stored `[in, out]`. */
export const gpt2: Family = layerNormLike(
  { parse, configFields, small: { ...layerNormLikeSmall, activation: "geluTanh" } },
  {
    embedding: "transformer.wte.weight",
    positions: "transformer.wpe.weight",
    block: (layer) => `transformer.h.${layer}.`,
    parts: {
      attentionNorm: "ln_1",
      queryKeyValue: "attn.c_attn",
      attentionOutput: "attn.c_proj",
      mlpNorm: "ln_2",
      up: "mlp.c_fc",
      down: "mlp.c_proj",
    },
    finalNorm: "transformer.ln_f",
    unembedding: "lm_head.weight",
    order: "thirds",
    transposed: true,
    // Checkpoints of the model without its head, such as the first ones, have names without `transformer.`.
    aliases: (name) => (name.startsWith("transformer.") ? [name.slice("transformer.".length)] : []),
    attentionBias: () => true,
    scale: ({ attentionScale, dHead, scaleByLayer }, layer) =>
      (attentionScale ?? 1 / Math.sqrt(dHead)) / (scaleByLayer ? layer + 1 : 1),
  },
);
