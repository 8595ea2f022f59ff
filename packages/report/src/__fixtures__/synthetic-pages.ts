import type { SuiteReport } from "../suite-report.ts";
import type { TrainingReport } from "../training-report.ts";

/** A training of three SAEs, one of which was given up. `text` is put where names of users stand. */
export function syntheticTraining(text = "short"): TrainingReport {
  const sae = (name: string, scale: number) => ({
    name: `${text} ${name}`,
    site: `blocks.3.hook_resid_post ${text}`,
    architecture: "jumprelu",
    width: 1536,
    status: "trained" as const,
    reason: null,
    planned: 1_000_000,
    presentations: 1_000_000,
    uniqueTokens: 400_000,
    points: Array.from({ length: 10 }, (_, index) => ({
      presentations: 100_000 * (index + 1),
      loss: 1 / (index + 1),
      l0: (scale * 400) / (index + 1),
      fvu: 0.4 / (index + 1),
      heldOutL0: (scale * 420) / (index + 1),
      heldOutFvu: 0.45 / scale / (index + 1),
      denseCount: 40 - index,
      deadCount: index * 3,
    })),
    schedule: Array.from({ length: 11 }, (_, index) => ({
      presentations: 100_000 * index,
      learningRate: 1e-3 * Math.min(1, index / 2),
      sparsity: 1e-3 * Math.min(1, index / 3),
    })),
    settings: [{ name: "learning rate", value: `0.001 ${text}` }],
    stability: `over the last fifth ${text}`,
  });
  const stopped = {
    ...sae("c", 4),
    status: "stopped" as const,
    reason: `the FVU of step 12 is 1e6 ${text}`,
    points: [],
    schedule: [],
    presentations: 12_000,
  };
  return {
    title: text,
    createdAt: "2026-01-02T03:04:05Z",
    command: `latentkit sae train ${text}`,
    facts: [{ name: "model", value: text }],
    saes: [sae("a", 1), sae("b", 2), stopped],
  };
}

/** A suite of two sites, three layers and three sparsities. */
export function syntheticSuite(text = "small"): SuiteReport {
  const edges = Array.from({ length: 25 }, (_, index) => -6 + index / 4);
  const rows = ["res", "att"].flatMap((site) =>
    [0, 1, 2].flatMap((layer) =>
      [1e-4, 1e-3, 1e-2].map((sparsity, index) => ({
        site,
        layer,
        hookName: `blocks.${layer}.hook`,
        architecture: "jumprelu",
        width: 1536,
        sparsity,
        k: null,
        seed: 0,
        path: `${text}-${site}/layer_${layer}/${index}`,
        tokens: 20_000,
        l0: 120 / (index + 1) + layer,
        fvu: 0.1 * (index + 1),
        dead: 0.02 * index,
        dense: 0.01,
        cleanLoss: 3,
        deltaLoss: 0.05 * (index + 1) + 0.01 * layer,
        deltaLossInterval: [0.01, 0.2] as const,
        lossRecovered: 0.98,
        densities: { edges, counts: edges.slice(1).map((_, bin) => bin * (index + 1)), dead: 30 },
      })),
    ),
  );
  return {
    name: text,
    model: { name: text, architecture: "llama" },
    contextSize: 128,
    planned: rows.length + 1,
    rows,
  };
}
