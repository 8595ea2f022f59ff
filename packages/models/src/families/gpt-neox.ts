import * as z from "zod";
import { Decoder, type DecoderLayer } from "../blocks/decoder.ts";
import type { Norm } from "../blocks/norm.ts";
import { findProjection } from "../blocks/projection.ts";
import { Rotary } from "../blocks/rotary.ts";
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
import type { Family, ParameterSpec } from "./family.ts";
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
    contextSize: fields.max_position_embeddings,
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

function parameters(config: ModelConfig): ParameterSpec[] {
  const { dModel, dMlp, vocabulary, layers, tiedEmbeddings } = config;
  const bias = config.attentionBias ?? false;
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [dModel] },
    { name: `${name}.bias`, shape: [dModel], initial: 0 },
  ];
  const matrix = (name: string, out: number, inputs: number, biased = true): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [out, inputs] },
    ...(biased ? [{ name: `${name}.bias`, shape: [out], initial: 0 } as const] : []),
  ];
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const at = `gpt_neox.layers.${layer}.`;
    return [
      ...norm(`${at}input_layernorm`),
      ...norm(`${at}post_attention_layernorm`),
      ...matrix(`${at}attention.query_key_value`, 3 * dModel, dModel, bias),
      ...matrix(`${at}attention.dense`, dModel, dModel, bias),
      ...matrix(`${at}mlp.dense_h_to_4h`, dMlp, dModel),
      ...matrix(`${at}mlp.dense_4h_to_h`, dModel, dMlp),
    ];
  });
  return [
    { name: "gpt_neox.embed_in.weight", shape: [vocabulary, dModel] },
    ...blocks.flat(),
    ...norm("gpt_neox.final_layer_norm"),
    {
      name: "embed_out.weight",
      aliases: ["lm_head.weight"],
      shape: [vocabulary, dModel],
      ...(tiedEmbeddings ? { sameAs: "gpt_neox.embed_in.weight" } : {}),
    },
  ];
}

/** GPT-NeoX (2204.06745) and Pythia (2304.01373): LayerNorm, biases, rotated quarters of heads, attention and MLP in parallel. */
export const gptNeoX: Family = {
  unembedding: "embed_out.weight",
  finalNorm: "gpt_neox.final_layer_norm.weight",
  normOffset: 0,
  small: {
    layers: 2,
    dModel: 64,
    heads: 4,
    kvHeads: 4,
    dHead: 16,
    dMlp: 128,
    vocabulary: 256,
    contextSize: 128,
    ropeBase: 10_000,
    normEpsilon: 1e-5,
    tiedEmbeddings: false,
    endTokens: [],
    activation: "gelu",
    dRotary: 4,
    attentionBias: true,
    parallelResidual: true,
  },
  parse,
  configFields,
  layout: (config) => ({
    norms: "before",
    positions: "rotary",
    queryKeyNorm: null,
    gated: false,
    parallel: config.parallelResidual ?? false,
  }),
  parameters,
  bind(config, weights, device) {
    const { heads, kvHeads, dHead, contextSize, ropeBase = 10_000 } = config;
    const rotary = new Rotary({
      device,
      dRotary: config.dRotary ?? dHead,
      base: ropeBase,
      contextSize,
      scaling: config.ropeScaling,
    });
    rotary.prepare(Math.min(contextSize, 2_048));
    const norm = (name: string): Norm => ({
      kind: "layer",
      weight: weights.vector(`${name}.weight`),
      bias: weights.vector(`${name}.bias`),
      epsilon: config.normEpsilon,
    });
    const matrix = (name: string, bias = true) => findProjection(weights, name, { bias });
    const layer = (index: number): DecoderLayer => {
      const at = `gpt_neox.layers.${index}.`;
      const bias = config.attentionBias ?? false;
      return {
        attentionNorms: {
          before: { site: "ln1", norm: norm(`${at}input_layernorm`) },
          after: null,
        },
        attention: {
          heads,
          kvHeads,
          dHead,
          projections: {
            kind: "fused",
            all: matrix(`${at}attention.query_key_value`, bias),
            order: "heads",
          },
          output: matrix(`${at}attention.dense`, bias),
          queryKeyNorm: null,
          rotary,
          scale: 1 / Math.sqrt(dHead),
          softCap: null,
          window: null,
        },
        mlpNorms: {
          before: { site: "ln2", norm: norm(`${at}post_attention_layernorm`) },
          after: null,
        },
        mlp: {
          gate: null,
          up: matrix(`${at}mlp.dense_h_to_4h`),
          down: matrix(`${at}mlp.dense_4h_to_h`),
        },
      };
    };
    return new Decoder({
      device,
      embedding: weights.matrix("gpt_neox.embed_in.weight"),
      embeddingScale: null,
      positions: null,
      layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
      activation: config.activation ?? "silu",
      parallel: config.parallelResidual ?? false,
      finalNorm: norm("gpt_neox.final_layer_norm"),
      unembedding: weights.matrix("embed_out.weight"),
      logitSoftCap: null,
      rotaries: [rotary],
    });
  },
};
