// A model whose circuit is known, since its weights are written by hand.
import { logitDifference } from "@latentkit/analysis";
import { Random } from "@latentkit/core";
import { type LanguageModel, randomModel } from "@latentkit/models";
import { Sae } from "@latentkit/sae";
import type { Device, Tensor } from "@latentkit/tensor";
import type { CircuitNode } from "../circuit-node.ts";
import type { RowMetric } from "../prompts.ts";

const width = 16;
/** A feature that every token has, so that norms hardly depend on the others. */
const constant = 15;
const [cue, moved, answer] = [0, 1, 2];
const [target, contrast] = [10, 11];
export const length = 5;

/**
 * Token 0 writes the feature `cue`. A head of layer 0 attends evenly and moves it from the first position to later ones, as `moved`. An MLP
 * neuron of layer 1 turns that into `answer`, which token 10's logit reads. Features 4 to 9 are others' business: tokens 2 to 9 write them, a second
 * head and other neurons move and mix them, and other tokens' logits read them.
 */
export function plantedModel(device: Device): LanguageModel {
  const sizes = {
    layers: 2,
    dModel: width,
    heads: 2,
    kvHeads: 2,
    dHead: 8,
    dMlp: 4,
    vocabulary: 16,
    contextSize: 8,
    tiedEmbeddings: false,
  };
  using base = randomModel({ device, seed: 0, config: sizes });
  const random = new Random(1);
  const written = new Map<string, Tensor>();
  const write = (name: string, entries: readonly (readonly [number, number, number])[]): void => {
    const { shape } = base.parameter(name);
    const values = new Float32Array((shape[0] ?? 0) * (shape[1] ?? 0));
    for (const [row, column, value] of entries) values[row * (shape[1] ?? 0) + column] = value;
    written.set(name, device.tensor(values, shape));
  };
  const distractors = Array.from({ length: 8 }, (_, index) => index + 2).flatMap((token) =>
    [4, 5, 7].map((feature) => [token, feature, 2 * random.uniform()] as const),
  );
  write("model.embed_tokens.weight", [
    ...Array.from({ length: sizes.vocabulary }, (_, token) => [token, constant, 20] as const),
    [0, cue, 2],
    [1, 3, 2],
    ...distractors,
  ]);
  for (const layer of [0, 1]) {
    const at = (name: string) => `model.layers.${layer}.${name}.weight`;
    write(at("self_attn.q_proj"), []);
    write(at("self_attn.k_proj"), []);
    const first = layer === 0;
    write(at("self_attn.v_proj"), first ? [[0, cue, 1], [8, 7, 1]] : []);
    write(at("self_attn.o_proj"), first ? [[moved, 0, 25], [8, 8, 3]] : []);
    write(at("mlp.gate_proj"), first ? [[0, 4, 2]] : [[0, moved, 10], [1, 5, 2]]);
    write(at("mlp.up_proj"), [[0, constant, 0.25], [1, constant, 0.25]]);
    write(at("mlp.down_proj"), first ? [[9, 0, 2]] : [[answer, 0, 1], [6, 1, 2]]);
  }
  write("lm_head.weight", [
    [target, answer, 1],
    ...[12, 13, 14].flatMap((token) => [4, 6, 8, 9].map((f) => [token, f, 1] as const)),
  ]);
  // The view owns what was written; norms are the base's, which is gone after this: copies of ones.
  for (const name of [
    "model.norm.weight",
    ...[0, 1].flatMap((layer) => [
      `model.layers.${layer}.input_layernorm.weight`,
      `model.layers.${layer}.post_attention_layernorm.weight`,
    ]),
  ])
    written.set(name, device.tensor(new Float32Array(width).fill(1), [width]));
  return base.withWeights(written, undefined, { owned: true });
}

/** A latent for each feature and sign, but for those left out: their part is the error. */
export function featureSae(device: Device, without: readonly number[] = []): Sae {
  const features = Array.from({ length: width }, (_, feature) => feature);
  const rows = Float32Array.from(
    features.flatMap((latent) =>
      features.map((feature) => (latent === feature && !without.includes(feature) ? 1 : 0)),
    ),
  );
  return Sae.fromWeights(
    device,
    { architecture: "jumprelu", dIn: width, dSae: width },
    {
      encoderRows: rows,
      decoder: rows,
      encoderBias: new Float32Array(width),
      decoderBias: new Float32Array(width),
      threshold: new Float32Array(width),
    },
  );
}

export const plantedSites = [
  "blocks.0.hook_resid_pre",
  "blocks.0.hook_resid_post",
  "blocks.1.hook_resid_post",
] as const;

/** The circuit, by hand: the cue at the first position, and the others at the last. */
export const plantedNodes: readonly CircuitNode[] = [
  { site: plantedSites[0], latent: cue, position: 0 },
  { site: plantedSites[1], latent: moved, position: length - 1 },
  { site: plantedSites[2], latent: answer, position: length - 1 },
];

/** Prompts that begin with the cue, and their counterparts that begin with token 1 instead. */
export function plantedPrompts(seed: number, rows: number) {
  const random = new Random(seed);
  const tails = Array.from({ length: rows }, () =>
    Array.from({ length: length - 1 }, () => 2 + random.integer(8)),
  );
  return {
    clean: tails.map((tail) => [0, ...tail]),
    corrupt: tails.map((tail) => [1, ...tail]),
  };
}

export const plantedMetric: RowMetric = logitDifference({ target, contrast, reduction: "none" });
