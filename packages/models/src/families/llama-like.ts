import type { Device } from "@latentkit/tensor";
import * as z from "zod";
import type { BlockLayout } from "../block-layout.ts";
import { Decoder, type DecoderLayer, type Norms, type PlacedNorm } from "../blocks/decoder.ts";
import type { Norm } from "../blocks/norm.ts";
import { findProjection } from "../blocks/projection.ts";
import { Rotary } from "../blocks/rotary.ts";
import { type Architecture, isSliding, type ModelConfig } from "../config.ts";
import { configUnsupported } from "../config-errors.ts";
import { activationName, commonFields, endTokensOf, size } from "./config-fields.ts";
import type { Family, ParameterSpec, SmallConfig, WeightFinder } from "./family.ts";
import { ropeFields, ropeJson, ropeOf } from "./rope-fields.ts";

/** How a family differs from Llama. */
export interface LlamaLikeOptions {
  /** Where the norms are, by their names in the checkpoint. */
  readonly norms: BlockLayout["norms"];
  readonly queryKeyNorm: BlockLayout["queryKeyNorm"];
  /** Added to the weights of all norms. */
  readonly normOffset: 0 | 1;
  /** Whether embeddings are multiplied by `sqrt(d_model)`. */
  readonly scaledEmbeddings: boolean;
  /** What else may stand before the names of tensors: those of models that have this one inside. */
  readonly prefixes: readonly string[];
  /** Biases of queries, keys and values whatever the configuration says (Qwen 2). */
  readonly queryKeyValueBias: boolean;
}

const plain: LlamaLikeOptions = {
  norms: "before",
  queryKeyNorm: null,
  normOffset: 0,
  scaledEmbeddings: false,
  queryKeyValueBias: false,
  prefixes: [],
};

/** Fields that all of these families have, with transformers' defaults where those are the same for all. */
export const llamaLikeFields = {
  ...commonFields,
  ...ropeFields,
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  rms_norm_eps: z.number().nonnegative().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
};

type LlamaLikeFields = z.infer<z.ZodObject<typeof llamaLikeFields, z.core.$loose>>;

/** What those fields come to. `base` is the `rope_theta` of a configuration that has none. */
export function llamaLikeConfig(
  architecture: Architecture,
  fields: LlamaLikeFields,
  where: string | undefined,
  base?: number,
): ModelConfig {
  const heads = fields.num_attention_heads;
  const dHead = fields.head_dim ?? Math.floor(fields.hidden_size / heads);
  const rope = ropeOf(fields, { dHead, ...(base === undefined ? {} : { base }) }, where);
  if (rope.dRotary !== undefined) {
    const given = `partial_rotary_factor ${rope.dRotary / dHead}`;
    throw configUnsupported(given, "rotary embeddings over the whole head", where);
  }
  return {
    architecture,
    layers: fields.num_hidden_layers,
    dModel: fields.hidden_size,
    heads,
    kvHeads: fields.num_key_value_heads ?? heads,
    dHead,
    dMlp: fields.intermediate_size,
    vocabulary: fields.vocab_size,
    ...rope,
    normEpsilon: fields.rms_norm_eps,
    tiedEmbeddings: fields.tie_word_embeddings,
    endTokens: endTokensOf(fields.eos_token_id),
  };
}

/** The fields of a configuration that {@link llamaLikeConfig} reads, and `hidden_act`. */
export function llamaLikeJson(config: ModelConfig): Record<string, unknown> {
  return {
    attention_bias: config.attentionBias ?? false,
    attention_dropout: 0,
    head_dim: config.dHead,
    hidden_act: activationName(config),
    hidden_size: config.dModel,
    intermediate_size: config.dMlp,
    max_position_embeddings: config.contextSize,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.kvHeads,
    rms_norm_eps: config.normEpsilon,
    ...ropeJson(config),
    tie_word_embeddings: config.tiedEmbeddings,
    vocab_size: config.vocabulary,
  };
}

/** A small configuration for {@link Family.small}. */
export const llamaLikeSmall: SmallConfig = {
  layers: 2,
  dModel: 64,
  heads: 4,
  kvHeads: 2,
  dHead: 16,
  dMlp: 128,
  vocabulary: 256,
  contextSize: 128,
  ropeBase: 10_000,
  normEpsilon: 1e-5,
  tiedEmbeddings: true,
  endTokens: [],
};

/** A family whose tensors have Llama's names: its configuration is its own, all else follows from the options. */
export function llamaLike(
  own: Pick<Family, "configFields" | "otherTensors" | "parse" | "small">,
  differences: Partial<LlamaLikeOptions> = {},
): Family {
  const options = { ...plain, ...differences };
  return {
    unembedding: "lm_head.weight",
    finalNorm: "model.norm.weight",
    normOffset: options.normOffset,
    ...own,
    layout: (config) => ({
      norms: options.norms,
      positions: "rotary",
      queryKeyNorm: options.queryKeyNorm,
      gated: true,
      parallel: config.parallelResidual ?? false,
    }),
    parameters: (config) =>
      llamaLikeParameters(config, options).map((spec) =>
        options.prefixes.length === 0
          ? spec
          : { ...spec, aliases: options.prefixes.map((prefix) => prefix + spec.name) },
      ),
    bind: (config, weights, device) => llamaLikeDecoder(config, weights, device, options),
  };
}

/** Names of the norms in a block, in its order, with their sites. */
const normNames = {
  before: { ln1: "input_layernorm", ln2: "post_attention_layernorm" },
  after: { ln1: "post_attention_layernorm", ln2: "post_feedforward_layernorm" },
  both: {
    ln1: "input_layernorm",
    ln1_post: "post_attention_layernorm",
    ln2: "pre_feedforward_layernorm",
    ln2_post: "post_feedforward_layernorm",
  },
} as const;

function biasesOf(config: ModelConfig, options: LlamaLikeOptions) {
  const attention = config.attentionBias ?? false;
  return {
    queryKeyValue: attention || options.queryKeyValueBias,
    output: attention,
    mlp: config.mlpBias ?? false,
  };
}

/** Name and shape of each tensor, as Hugging Face names them. */
function llamaLikeParameters(config: ModelConfig, options: LlamaLikeOptions): ParameterSpec[] {
  const { dModel, dMlp, dHead, vocabulary, layers } = config;
  const queryWidth = config.heads * dHead;
  const keyWidth = config.kvHeads * dHead;
  const biases = biasesOf(config, options);
  const initial = options.normOffset === 1 ? ({ initial: 0 } as const) : {};
  const norm = (name: string, width: number): ParameterSpec => ({
    name: `${name}.weight`,
    shape: [width],
    ...initial,
  });
  const matrix = (name: string, out: number, inputs: number, bias: boolean): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [out, inputs] },
    ...(bias ? [{ name: `${name}.bias`, shape: [out], initial: 0 } as const] : []),
  ];
  const [before, ...others] = Object.values(normNames[options.norms]);
  const perHead = options.queryKeyNorm === "head";
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const at = `model.layers.${layer}.`;
    return [
      norm(at + before, dModel),
      ...matrix(`${at}self_attn.q_proj`, queryWidth, dModel, biases.queryKeyValue),
      ...matrix(`${at}self_attn.k_proj`, keyWidth, dModel, biases.queryKeyValue),
      ...matrix(`${at}self_attn.v_proj`, keyWidth, dModel, biases.queryKeyValue),
      ...matrix(`${at}self_attn.o_proj`, dModel, queryWidth, biases.output),
      ...(options.queryKeyNorm === null
        ? []
        : [
            norm(`${at}self_attn.q_norm`, perHead ? dHead : queryWidth),
            norm(`${at}self_attn.k_norm`, perHead ? dHead : keyWidth),
          ]),
      ...others.map((name) => norm(at + name, dModel)),
      ...matrix(`${at}mlp.gate_proj`, dMlp, dModel, biases.mlp),
      ...matrix(`${at}mlp.up_proj`, dMlp, dModel, biases.mlp),
      ...matrix(`${at}mlp.down_proj`, dModel, dMlp, biases.mlp),
    ];
  });
  return [
    { name: "model.embed_tokens.weight", shape: [vocabulary, dModel] },
    ...blocks.flat(),
    norm("model.norm", dModel),
    {
      name: "lm_head.weight",
      shape: [vocabulary, dModel],
      ...(config.tiedEmbeddings ? { sameAs: "model.embed_tokens.weight" } : {}),
    },
  ];
}

/** The forward pass with its weights in place. */
function llamaLikeDecoder(
  config: ModelConfig,
  weights: WeightFinder,
  device: Device,
  options: LlamaLikeOptions,
): Decoder {
  const { dHead, dModel, heads, kvHeads } = config;
  const biases = biasesOf(config, options);
  const norm = (name: string): Norm => ({
    kind: "rms",
    weight: weights.vector(`${name}.weight`),
    offset: options.normOffset,
    epsilon: config.normEpsilon,
  });
  const rotaries = rotariesOf(config, device);
  const layer = (index: number): DecoderLayer => {
    const at = `model.layers.${index}.`;
    const sliding = isSliding(config, index);
    const matrix = (name: string, bias: boolean) => findProjection(weights, at + name, { bias });
    const head = (which: "k" | "q") => norm(`${at}self_attn.${which}_norm`);
    return {
      ...placedNorms(options.norms, (name) => norm(at + name)),
      attention: {
        heads,
        kvHeads,
        dHead,
        projections: {
          kind: "separate",
          query: matrix("self_attn.q_proj", biases.queryKeyValue),
          key: matrix("self_attn.k_proj", biases.queryKeyValue),
          value: matrix("self_attn.v_proj", biases.queryKeyValue),
        },
        output: matrix("self_attn.o_proj", biases.output),
        queryKeyNorm:
          options.queryKeyNorm === null
            ? null
            : { query: head("q"), key: head("k"), over: options.queryKeyNorm },
        rotary: sliding ? rotaries.local : rotaries.global,
        scale: config.attentionScale ?? 1 / Math.sqrt(dHead),
        softCap: config.scoreSoftCap ?? null,
        window: sliding ? (config.slidingWindow ?? null) : null,
      },
      mlp: {
        gate: matrix("mlp.gate_proj", biases.mlp),
        up: matrix("mlp.up_proj", biases.mlp),
        down: matrix("mlp.down_proj", biases.mlp),
      },
    };
  };
  return new Decoder({
    device,
    embedding: weights.matrix("model.embed_tokens.weight"),
    // Rounded to f32, as transformers keeps it.
    embeddingScale: options.scaledEmbeddings ? Math.fround(Math.sqrt(dModel)) : null,
    positions: null,
    layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
    activation: config.activation ?? "silu",
    parallel: false,
    finalNorm: norm("model.norm"),
    unembedding: weights.matrix("lm_head.weight"),
    logitSoftCap: config.logitSoftCap ?? null,
    rotaries: [...new Set([rotaries.global, rotaries.local])],
  });
}

/** Tables for layers that see everything and for those with a window: the same unless the configuration has a second base. */
function rotariesOf(config: ModelConfig, device: Device) {
  const { contextSize, dHead, ropeBase = 10_000, ropeScaling, localRopeBase } = config;
  const sizes = { device, dRotary: config.dRotary ?? dHead, contextSize };
  const global = new Rotary({ ...sizes, base: ropeBase, scaling: ropeScaling });
  const local =
    localRopeBase === undefined ? global : new Rotary({ ...sizes, base: localRopeBase });
  for (const rotary of new Set([global, local])) rotary.prepare(Math.min(contextSize, 2_048));
  return { global, local };
}

function placedNorms(
  where: BlockLayout["norms"],
  norm: (name: string) => Norm,
): { readonly attentionNorms: Norms; readonly mlpNorms: Norms } {
  const names = normNames[where];
  const placed = (site: PlacedNorm["site"], name: string): PlacedNorm => ({
    site,
    norm: norm(name),
  });
  const [first, second] = [placed("ln1", names.ln1), placed("ln2", names.ln2)];
  if (where === "after") {
    return {
      attentionNorms: { before: null, after: first },
      mlpNorms: { before: null, after: second },
    };
  }
  const { both } = normNames;
  return {
    attentionNorms: {
      before: first,
      after: where === "both" ? placed("ln1_post", both.ln1_post) : null,
    },
    mlpNorms: {
      before: second,
      after: where === "both" ? placed("ln2_post", both.ln2_post) : null,
    },
  };
}
