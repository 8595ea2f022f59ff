import type { Device } from "@latentkit/tensor";
import { Decoder, type DecoderLayer } from "../blocks/decoder.ts";
import type { Norm } from "../blocks/norm.ts";
import { findProjection } from "../blocks/projection.ts";
import { Rotary } from "../blocks/rotary.ts";
import type { ModelConfig } from "../config.ts";
import type { Family, ParameterSpec, SmallConfig, WeightFinder } from "./family.ts";

/** How a family of this kind names its tensors, and what differs. */
export interface LayerNormLikeOptions {
  readonly embedding: string;
  /** Learned positions; null where they are rotary. */
  readonly positions: string | null;
  /** What stands before the names of a layer's parts, for example `"transformer.h.0."`. */
  readonly block: (layer: number) => string;
  /** Parts of a block. */
  readonly parts: {
    readonly attentionNorm: string;
    /** One matrix for queries, keys and values. */
    readonly queryKeyValue: string;
    readonly attentionOutput: string;
    readonly mlpNorm: string;
    readonly up: string;
    readonly down: string;
  };
  readonly finalNorm: string;
  readonly unembedding: string;
  /** How queries, keys and values lie in their matrix. */
  readonly order: "thirds" | "heads";
  /** Whether matrices are stored `[in, out]`. */
  readonly transposed: boolean;
  /** Other names that checkpoints have for a tensor. */
  readonly aliases: (name: string) => readonly string[];
  readonly attentionBias: (config: ModelConfig) => boolean;
  /** Factor of a layer's attention scores. */
  readonly scale: (config: ModelConfig, layer: number) => number;
}

/** A small configuration for {@link Family.small}. */
export const layerNormLikeSmall: SmallConfig = {
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
};

/**
 * A family with LayerNorms before attention and MLP, one matrix for queries, keys and values, and an MLP without a gate: its
 * configuration is its own, all else follows from the options.
 */
export function layerNormLike(
  own: Pick<Family, "configFields" | "parse" | "small">,
  options: LayerNormLikeOptions,
): Family {
  return {
    unembedding: options.unembedding,
    finalNorm: `${options.finalNorm}.weight`,
    normOffset: 0,
    ...own,
    layout: (config) => ({
      norms: "before",
      positions: options.positions === null ? "rotary" : "learned",
      queryKeyNorm: null,
      gated: false,
      parallel: config.parallelResidual ?? false,
    }),
    parameters: (config) =>
      parametersOf(config, options).map((spec) => {
        const aliases = options.aliases(spec.name);
        return aliases.length === 0 ? spec : { ...spec, aliases };
      }),
    bind: (config, weights, device) => decoderOf(config, weights, device, options),
  };
}

function parametersOf(config: ModelConfig, options: LayerNormLikeOptions): ParameterSpec[] {
  const { dModel, dMlp, vocabulary, contextSize, layers, tiedEmbeddings } = config;
  const { block, parts, transposed } = options;
  const attentionBias = options.attentionBias(config);
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [dModel] },
    { name: `${name}.bias`, shape: [dModel], initial: 0 },
  ];
  const matrix = (name: string, out: number, inputs: number, bias = true): ParameterSpec[] => [
    transposed
      ? { name: `${name}.weight`, shape: [inputs, out], transposed }
      : { name: `${name}.weight`, shape: [out, inputs] },
    ...(bias ? [{ name: `${name}.bias`, shape: [out], initial: 0 } as const] : []),
  ];
  return [
    { name: options.embedding, shape: [vocabulary, dModel] },
    ...(options.positions === null
      ? []
      : [{ name: options.positions, shape: [contextSize, dModel] }]),
    ...Array.from({ length: layers }, (_, layer) => block(layer)).flatMap((at) => [
      ...norm(at + parts.attentionNorm),
      ...matrix(at + parts.queryKeyValue, 3 * dModel, dModel, attentionBias),
      ...matrix(at + parts.attentionOutput, dModel, dModel, attentionBias),
      ...norm(at + parts.mlpNorm),
      ...matrix(at + parts.up, dMlp, dModel),
      ...matrix(at + parts.down, dModel, dMlp),
    ]),
    ...norm(options.finalNorm),
    {
      name: options.unembedding,
      shape: [vocabulary, dModel],
      ...(tiedEmbeddings ? { sameAs: options.embedding } : {}),
    },
  ];
}

function decoderOf(
  config: ModelConfig,
  weights: WeightFinder,
  device: Device,
  options: LayerNormLikeOptions,
): Decoder {
  const { heads, kvHeads, dHead } = config;
  const { block, parts, transposed, order } = options;
  const rotary = options.positions === null ? rotaryOf(config, device) : null;
  const attentionBias = options.attentionBias(config);
  const norm = (name: string): Norm => ({
    kind: "layer",
    weight: weights.vector(`${name}.weight`),
    bias: weights.vector(`${name}.bias`),
    epsilon: config.normEpsilon,
  });
  const matrix = (name: string, bias = true) => findProjection(weights, name, { bias, transposed });
  const layer = (index: number): DecoderLayer => {
    const at = block(index);
    return {
      attentionNorms: {
        before: { site: "ln1", norm: norm(at + parts.attentionNorm) },
        after: null,
      },
      attention: {
        heads,
        kvHeads,
        dHead,
        projections: { kind: "fused", all: matrix(at + parts.queryKeyValue, attentionBias), order },
        output: matrix(at + parts.attentionOutput, attentionBias),
        queryKeyNorm: null,
        rotary,
        scale: options.scale(config, index),
        softCap: null,
        window: null,
      },
      mlpNorms: { before: { site: "ln2", norm: norm(at + parts.mlpNorm) }, after: null },
      mlp: { gate: null, up: matrix(at + parts.up), down: matrix(at + parts.down) },
    };
  };
  return new Decoder({
    device,
    embedding: weights.matrix(options.embedding),
    embeddingScale: null,
    positions: options.positions === null ? null : weights.matrix(options.positions),
    layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
    activation: config.activation ?? "silu",
    parallel: config.parallelResidual ?? false,
    finalNorm: norm(options.finalNorm),
    unembedding: weights.matrix(options.unembedding),
    logitSoftCap: null,
    rotaries: rotary === null ? [] : [rotary],
  });
}

function rotaryOf(config: ModelConfig, device: Device): Rotary {
  const { contextSize, dHead, dRotary = dHead, ropeBase = 10_000, ropeScaling } = config;
  const rotary = new Rotary({ device, dRotary, base: ropeBase, contextSize, scaling: ropeScaling });
  rotary.prepare(Math.min(contextSize, 2_048));
  return rotary;
}
