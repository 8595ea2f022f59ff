/** Layers of the embedded model; each has an SAE on the residual stream behind it. */
export const tinyLayers = 6;

const baseFiles = [
  "base/config.json",
  "base/generation_config.json",
  "base/model.safetensors",
  "base/tokenizer.json",
  "base/tokenizer_config.json",
] as const;
const instructFiles = [
  "instruct/adapter_config.json",
  "instruct/adapter_model.safetensors",
] as const;

/** Where the SAE of a layer lies in the data folder. */
export function saeFolder(layer: number): string {
  return `sae/layer_${layer}`;
}

/** Every file of the data folder, with `/` between folder and name: what a server has to offer for `fetchTiny`. */
export const tinyFiles: readonly string[] = [
  ...baseFiles,
  ...instructFiles,
  ...Array.from({ length: tinyLayers }, (_, layer) => [
    `${saeFolder(layer)}/cfg.json`,
    `${saeFolder(layer)}/sae_weights.safetensors`,
  ]).flat(),
  "world.json",
];
