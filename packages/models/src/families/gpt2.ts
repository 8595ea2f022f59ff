import * as z from "zod";
import { Decoder, type DecoderLayer } from "../blocks/decoder.ts";
import type { Norm } from "../blocks/norm.ts";
import { findProjection } from "../blocks/projection.ts";
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
import type { Family, ParameterSpec } from "./family.ts";

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

/** Checkpoints of the model without its head, such as the first ones, have names without `transformer.`. */
function spec(name: string, shape: readonly number[], more: Partial<ParameterSpec> = {}) {
  return { name: `transformer.${name}`, aliases: [name], shape, ...more };
}

function parameters(config: ModelConfig): ParameterSpec[] {
  const { dModel, dMlp, vocabulary, contextSize, layers, tiedEmbeddings } = config;
  const norm = (name: string) => [
    spec(`${name}.weight`, [dModel]),
    spec(`${name}.bias`, [dModel], { initial: 0 }),
  ];
  const matrix = (name: string, inputs: number, outputs: number) => [
    spec(`${name}.weight`, [inputs, outputs], { transposed: true }),
    spec(`${name}.bias`, [outputs], { initial: 0 }),
  ];
  const blocks = Array.from({ length: layers }, (_, layer) => [
    ...norm(`h.${layer}.ln_1`),
    ...matrix(`h.${layer}.attn.c_attn`, dModel, 3 * dModel),
    ...matrix(`h.${layer}.attn.c_proj`, dModel, dModel),
    ...norm(`h.${layer}.ln_2`),
    ...matrix(`h.${layer}.mlp.c_fc`, dModel, dMlp),
    ...matrix(`h.${layer}.mlp.c_proj`, dMlp, dModel),
  ]);
  return [
    spec("wte.weight", [vocabulary, dModel]),
    spec("wpe.weight", [contextSize, dModel]),
    ...blocks.flat(),
    ...norm("ln_f"),
    {
      name: "lm_head.weight",
      shape: [vocabulary, dModel],
      ...(tiedEmbeddings ? { sameAs: "transformer.wte.weight" } : {}),
    },
  ];
}

/** GPT-2: LayerNorm, learned positions, biases everywhere, and weights stored `[in, out]`. */
export const gpt2: Family = {
  unembedding: "lm_head.weight",
  finalNorm: "transformer.ln_f.weight",
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
    normEpsilon: 1e-5,
    tiedEmbeddings: true,
    endTokens: [],
    activation: "geluTanh",
  },
  parse,
  configFields,
  layout: () => ({
    norms: "before",
    positions: "learned",
    queryKeyNorm: null,
    gated: false,
    parallel: false,
  }),
  parameters,
  bind(config, weights, device) {
    const { heads, kvHeads, dHead, normEpsilon: epsilon } = config;
    const norm = (name: string): Norm => ({
      kind: "layer",
      weight: weights.vector(`transformer.${name}.weight`),
      bias: weights.vector(`transformer.${name}.bias`),
      epsilon,
    });
    const matrix = (name: string) =>
      findProjection(weights, `transformer.${name}`, { bias: true, transposed: true });
    const layer = (index: number): DecoderLayer => {
      const at = `h.${index}.`;
      const scale = config.attentionScale ?? 1 / Math.sqrt(dHead);
      return {
        attentionNorms: { before: { site: "ln1", norm: norm(`${at}ln_1`) }, after: null },
        attention: {
          heads,
          kvHeads,
          dHead,
          projections: { kind: "fused", all: matrix(`${at}attn.c_attn`), order: "thirds" },
          output: matrix(`${at}attn.c_proj`),
          queryKeyNorm: null,
          rotary: null,
          scale: config.scaleByLayer ? scale / (index + 1) : scale,
          softCap: null,
          window: null,
        },
        mlpNorms: { before: { site: "ln2", norm: norm(`${at}ln_2`) }, after: null },
        mlp: { gate: null, up: matrix(`${at}mlp.c_fc`), down: matrix(`${at}mlp.c_proj`) },
      };
    };
    return new Decoder({
      device,
      embedding: weights.matrix("transformer.wte.weight"),
      embeddingScale: null,
      positions: weights.matrix("transformer.wpe.weight"),
      layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
      activation: config.activation ?? "silu",
      parallel: false,
      finalNorm: norm("ln_f"),
      unembedding: weights.matrix("lm_head.weight"),
      logitSoftCap: null,
      rotaries: [],
    });
  },
};
