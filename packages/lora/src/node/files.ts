/** Names inside an adapter's folder, those of PEFT. */
export const files = {
  config: "adapter_config.json",
  weights: "adapter_model.safetensors",
  /** What PEFT wrote before. */
  pickle: "adapter_model.bin",
  training: "training.json",
} as const;
