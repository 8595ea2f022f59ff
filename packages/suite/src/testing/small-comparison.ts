import { type Comparison, parseComparison } from "../compare/config.ts";

/** Three architectures at three sparsities of the small model's last layer, two seeds, two learning rates on a third. */
export function smallComparison(changes: Readonly<Record<string, unknown>> = {}): Comparison {
  return parseComparison({
    schemaVersion: 1,
    name: "small",
    text: { files: ["words.txt"] },
    contextSize: 16,
    maxTokens: 1600,
    heldOut: 0.25,
    layer: 1,
    width: 24,
    presentations: 1536,
    batchSize: 128,
    architectures: [
      { name: "JumpReLU", recipe: "short-run", sparsity: [0.001, 0.02, 0.1] },
      { name: "Gated", recipe: "gated", sparsity: [0.01, 0.1, 0.4] },
      { name: "TopK", recipe: "topk", k: [2, 4, 8] },
    ],
    subject: "JumpReLU",
    seeds: [1, 2],
    tuning: { seeds: [7], factors: [5, 20], l0: 6 },
    levels: 3,
    spliceContexts: 8,
    ...changes,
  });
}

/** Changes to {@link smallComparison} that leave two architectures at two sparsities. */
export const twoArchitectures: Readonly<Record<string, unknown>> = {
  architectures: [
    { name: "JumpReLU", recipe: "short-run", sparsity: [0.001, 0.1] },
    { name: "TopK", recipe: "topk", k: [2, 8] },
  ],
};
