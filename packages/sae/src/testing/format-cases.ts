import type { OpenSaeOptions } from "../node/load-sae.ts";

/** One checkpoint of `__fixtures__/formats`, which oracles/sae/formats.py writes. */
export interface FormatCase {
  /** The folder or file below the fixtures. */
  readonly path: string;
  readonly format: string;
  /** The golden's name, where it is not the path. */
  readonly golden?: string;
  readonly options?: OpenSaeOptions;
  readonly config: object;
}

const dictionary = (name: string, config: object): FormatCase => ({
  path: `dictionary-learning/${name}/trainer_0`,
  golden: `dictionary-learning/${name}`,
  format: "dictionary-learning",
  config: {
    ...config,
    metadata: {
      modelName: "example/pythia",
      hookName: "blocks.8.hook_resid_post",
      contextSize: 128,
      convertedFrom: name,
    },
  },
});
const gemma = (path: string, config: object): FormatCase => ({
  path: `gemma-scope/google/${path}`,
  format: "gemma-scope",
  config: { architecture: "jumprelu", applyBDecToInput: false, ...config },
});
const gemma2 = (path: string, config: object): FormatCase => ({
  path: `gemma-scope-2/google/gemma-scope-2-270m-pt/${path}`,
  golden: `gemma-scope-2/${path}`,
  format: "gemma-scope-2",
  config: { architecture: "jumprelu", applyBDecToInput: false, ...config },
});
const lens = (name: string, config: object): FormatCase => ({
  path: `saelens/${name}`,
  format: "saelens",
  config,
});
const subtracts = { architecture: "jumprelu", applyBDecToInput: true };
const reads = { architecture: "jumprelu", applyBDecToInput: false };

/** All of them. */
export const formatCases: readonly FormatCase[] = [
  dictionary("AutoEncoder", subtracts),
  dictionary("AutoEncoderNew", reads),
  dictionary("GatedAutoEncoder", subtracts),
  dictionary("JumpReluAutoEncoder", reads),
  dictionary("AutoEncoderTopK", { architecture: "topk", k: 3, applyBDecToInput: true }),
  dictionary("BatchTopKSAE", subtracts),
  dictionary("MatryoshkaBatchTopKSAE", subtracts),
  {
    path: "sparsify/layers.3",
    format: "sparsify",
    config: {
      architecture: "topk",
      k: 3,
      applyBDecToInput: true,
      dOut: null,
      metadata: { hookName: "blocks.3.hook_resid_post" },
    },
  },
  {
    path: "sparsify/layers.4.mlp",
    format: "sparsify",
    config: {
      architecture: "topk",
      applyBDecToInput: false,
      dOut: 6,
      metadata: { hookName: "blocks.4.ln2.hook_normalized", hookNameOut: "blocks.4.hook_mlp_out" },
    },
  },
  gemma("gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71", {
    metadata: { modelName: "google/gemma-2-2b", hookName: "blocks.20.hook_resid_post" },
  }),
  gemma("gemma-scope-9b-it-att/layer_4/width_16k/average_l0_9", {
    reshapeActivations: "hook_z",
    metadata: { modelName: "google/gemma-2-9b-it", hookName: "blocks.4.attn.hook_z" },
  }),
  gemma("gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6", {
    metadata: { hookName: "hook_embed" },
  }),
  gemma("gemma-scope-2b-pt-transcoders/layer_7/width_16k/average_l0_11", {
    dOut: 6,
    metadata: { hookName: "blocks.7.ln2.hook_normalized", hookNameOut: "blocks.7.hook_mlp_out" },
  }),
  gemma2("resid_post/layer_9_width_16k_l0_small", {
    dOut: null,
    metadata: {
      modelName: "google/gemma-3-270m",
      hookName: "blocks.9.hook_resid_post",
      hfHookName: "model.layers.9.output",
    },
  }),
  gemma2("attn_out_all/layer_2_width_16k_l0_big", {
    metadata: { hookName: "blocks.2.attn.hook_z" },
  }),
  gemma2("transcoder/layer_5_width_16k_l0_small", {
    dOut: 4,
    metadata: { hookName: "blocks.5.hook_mlp_in", hookNameOut: "blocks.5.hook_mlp_out" },
  }),
  gemma2("transcoder_all/layer_5_width_16k_l0_small_affine", {
    dOut: 4,
    metadata: { hfHookNameOut: "model.layers.5.post_feedforward_layernorm.output" },
  }),
  {
    path: "llama-scope/Llama3_1-8B-Base-L3R-8x",
    golden: "llama-scope/first",
    format: "llama-scope",
    config: {
      ...reads,
      metadata: { modelName: "meta-llama/Llama-3.1-8B", hookName: "blocks.3.hook_resid_post" },
    },
  },
  {
    path: "llama-scope/800M-Slimpajama-0-OpenR1-Math-220k/L3R",
    golden: "llama-scope/later",
    format: "llama-scope",
    options: { inputScale: 1.25 },
    config: reads,
  },
  {
    path: "torch/Goodfire/Llama-3.1-8B-Instruct-SAE-l19",
    golden: "torch/goodfire",
    format: "goodfire",
    config: {
      ...reads,
      metadata: {
        modelName: "meta-llama/Llama-3.1-8B-Instruct",
        hookName: "blocks.19.hook_resid_post",
      },
    },
  },
  {
    path: "torch/qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19",
    golden: "torch/deepseek-r1",
    format: "deepseek-r1",
    config: { ...reads, metadata: { hookName: "blocks.19.hook_resid_post" } },
  },
  {
    path: "torch/Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_3/layer5.sae.pt",
    golden: "torch/qwen-scope",
    format: "qwen-scope",
    config: {
      architecture: "topk",
      k: 3,
      applyBDecToInput: false,
      metadata: { modelName: "Qwen/Qwen3-1.7B-Base", hookName: "blocks.5.hook_resid_post" },
    },
  },
  {
    path: "torch/attn/gpt2-small_L3_Hcat_z.pt",
    golden: "torch/attn-saes",
    format: "attn-saes",
    config: {
      ...subtracts,
      reshapeActivations: "hook_z",
      metadata: { hookName: "blocks.3.attn.hook_z" },
    },
  },
  lens("topk-layer-norm", { architecture: "topk", normalizeActivations: "layer_norm" }),
  lens("standard-constant-norm", {
    ...subtracts,
    normalizeActivations: "constant_norm_rescale",
  }),
  lens("gated-layer-norm", { ...reads, normalizeActivations: "layer_norm" }),
  lens("jumprelu-constant-norm", { ...reads, normalizeActivations: "constant_norm_rescale" }),
  lens("abstopk", { architecture: "abstopk", k: 3 }),
  lens("matching-pursuit", {
    architecture: "matching_pursuit",
    maxIterations: 4,
    residualThreshold: 0.05,
  }),
  lens("transcoder", { ...reads, dOut: 4, metadata: { hookNameOut: "blocks.3.hook_mlp_out" } }),
  lens("skip-transcoder", { ...reads, dOut: 4 }),
  lens("jumprelu-transcoder", { ...reads, dOut: 4, normalizeActivations: "layer_norm" }),
  lens("jumprelu-skip-transcoder", { ...reads, dOut: 4 }),
  lens("whitened-topk", { architecture: "topk", k: 3, normalizeActivations: "none" }),
  lens("whitened-gated", { ...reads, normalizeActivations: "none" }),
  lens("batchtopk-training", { ...subtracts, normalizeActivations: "none" }),
  lens("legacy-gated", {
    ...subtracts,
    reshapeActivations: "hook_z",
    metadata: { hookName: "blocks.2.attn.hook_z", convertedFrom: "gated" },
  }),
  {
    path: "mwhanna/layer_6.safetensors",
    golden: "mwhanna",
    format: "mwhanna-transcoder",
    config: {
      ...reads,
      dOut: 6,
      metadata: { hookName: "blocks.6.mlp.hook_in", hookNameOut: "blocks.6.hook_mlp_out" },
    },
  },
];
