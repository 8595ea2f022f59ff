import { expect, it } from "vitest";
import { densityHistogram } from "./densities.ts";
import { parseSuiteMetrics, type SuiteMetrics, type SuiteRow } from "./metrics.ts";
import { metricsMarkdown } from "./metrics-table.ts";
import { releasePath } from "./release.ts";

const row: SuiteRow = {
  id: "res/layer_0/a",
  site: "res",
  layer: 0,
  hookName: "blocks.0.hook_resid_post",
  recipe: "short-run",
  architecture: "jumprelu",
  width: 4,
  sparsity: 0.001,
  k: null,
  presentations: 10,
  batchSize: null,
  seed: 0,
  path: "tiny-res/layer_0/width_4/average_l0_2",
  identity: "abc",
  dIn: 2,
  tokens: 1234,
  documents: 2,
  l0: 2.25,
  l0Interval: [2, 2.5],
  fvu: 0.125,
  fvuInterval: null,
  dead: 0.25,
  dense: 0,
  densities: densityHistogram([0, 0.5, 1, 1e-9]),
  relativeReconstructionBias: 1,
  lossTokens: 9,
  cleanLoss: 1,
  splicedLoss: 1.5,
  zeroAblatedLoss: 3,
  meanAblatedLoss: 2,
  deltaLoss: 0.5,
  deltaLossInterval: [0.4, 0.6],
  lossRecovered: 0.75,
  lossRecoveredFromMean: null,
};
const metrics: SuiteMetrics = {
  schemaVersion: 1,
  name: "tiny",
  model: { name: "m", architecture: "llama", weightsHash: "h" },
  contextSize: 16,
  planned: 2,
  rows: [row],
};

it("comes back from JSON as it was", () => {
  expect(parseSuiteMetrics(JSON.parse(JSON.stringify(metrics)))).toEqual(metrics);
});

it("is refused with the field's name where a field is wrong", () => {
  const bad = { ...metrics, rows: [{ ...row, dead: 2 }] };
  expect(() => parseSuiteMetrics(bad, "metrics.json")).toThrow(
    expect.objectContaining({
      code: "SUITE_METRICS_INVALID",
      where: "metrics.json",
      message: expect.stringContaining("rows[0].dead"),
    }),
  );
});

it("is a Markdown table", () => {
  const text = metricsMarkdown(metrics);
  expect(text).toContain("1 of 2 SAEs of m (llama), contexts of 16 tokens, measured on 1,234");
  expect(text).toContain(
    "| res | 0 | 4 | jumprelu | 0.001 | 2.3 [2.0, 2.5] | 0.125 | 0.5000 [0.4000, 0.6000] | 75.0% | 25.0% | 0.0% | tiny-res/layer_0/width_4/average_l0_2 |",
  );
});

it("counts every latent's density once", () => {
  const { edges, counts, dead } = densityHistogram([0, 1, 0.5, 0.1, 0.09, 1e-9, 1e-6]);
  expect(dead).toBe(1);
  expect(counts.reduce((sum, count) => sum + count)).toBe(6);
  expect(edges).toHaveLength(counts.length + 1);
  // 1e-9 and 1e-6 in the first bin; 1 in the last, with 0.5 in the one before; 0.1 begins a decade.
  expect(counts[0]).toBe(2);
  expect(counts.slice(-4)).toEqual([1, 0, 1, 1]);
  expect(counts.at(-5)).toBe(1);
});

it("names folders as Gemma Scope does, and never one twice", () => {
  const sae = { architecture: "jumprelu", site: "att", layer: 3, width: 1536 } as const;
  const path = releasePath("tiny", sae, 41.6, new Set());
  expect(path).toBe("tiny-att/layer_3/width_1.5k/average_l0_42");
  expect(releasePath("tiny", sae, 42.1, new Set([path]))).toBe(`${path}_2`);
  expect(releasePath("tiny", sae, 42.1, new Set([path, `${path}_2`]))).toBe(`${path}_3`);
  expect(releasePath("tiny", { ...sae, architecture: "topk" }, 32, new Set())).toBe(
    "tiny-att-topk/layer_3/width_1.5k/average_l0_32",
  );
});
