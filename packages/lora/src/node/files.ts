/** Names inside an adapter's folder, those of PEFT. */
export const files = {
  config: "adapter_config.json",
  weights: "adapter_model.safetensors",
  training: "training.json",
} as const;
