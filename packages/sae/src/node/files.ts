/** Names inside an SAE's folder, those of SAELens but for the last. */
export const files = {
  config: "cfg.json",
  weights: "sae_weights.safetensors",
  sparsity: "sparsity.safetensors",
  scaler: "activation_scaler.json",
  training: "training.json",
} as const;
