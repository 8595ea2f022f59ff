import { ConfigError } from "@latentkit/core";
import { topK } from "@latentkit/sae";
import { describe, expect, it } from "vitest";
import { smallComparison } from "../testing/small-comparison.ts";
import { chooseRates, type Trial } from "./choose.ts";
import { compareRows } from "./compare-rows.ts";
import { comparisonMarkdown } from "./markdown.ts";
import { renderComparison } from "./page.ts";
import { runsOf, trainingOf, trialsOf } from "./plan.ts";
import { type ComparedRow, type ComparisonResult, parseComparisonResult } from "./result.ts";

const seeds = [1, 2, 3, 4, 5];
const comparison = smallComparison({ seeds });

/** SAEs whose FVU is linear in log L0: `1 - log2(L0) / 16`, and more by `shift` and by a small amount of the seed's own. */
function rowsOf(architecture: string, l0s: readonly number[], shift: number): ComparedRow[] {
  const wobble = [0, 1, -1, 2, -2];
  return seeds.flatMap((seed, place) =>
    l0s.map((l0, index): ComparedRow => {
      const fvu = 1 - Math.log2(l0) / 16 + shift + (shift === 0 ? 0 : wobble[place]! * 0.001);
      const setting = comparison.architectures.find(({ name }) => name === architecture)!;
      return {
        architecture,
        seed,
        sparsity: setting.sparsity?.[index] ?? null,
        k: setting.k?.[index] ?? null,
        learningRate: 1e-3,
        l0,
        fvu,
        deltaLoss: 2 * fvu,
        dense: 0.01 * l0,
        dead: 0,
      };
    }),
  );
}

const rows = [
  ...rowsOf("JumpReLU", [4, 16, 64], 0),
  ...rowsOf("Gated", [8, 32, 128], 0.05),
  ...rowsOf("TopK", [2, 8, 32], -0.02),
];

function resultOf(
  own: readonly ComparedRow[],
  more: Partial<ComparisonResult> = {},
): ComparisonResult {
  return {
    schemaVersion: 1,
    name: "small",
    model: { name: "a <b> model", architecture: "llama", weightsHash: "0" },
    site: "blocks.1.hook_resid_post",
    width: 24,
    presentations: 1536,
    subject: "JumpReLU",
    planned: 45,
    failed: [],
    choices: chooseRates(comparison, []),
    ...compareRows(comparison, own),
    rows: own,
    ...more,
  };
}

describe("rows of known curves", () => {
  const { differences, points, nulls, claims } = compareRows(comparison, rows);
  const metricOf = (other: string, metric: string) =>
    differences.find((one) => one.other === other)!.metrics.find((one) => one.metric === metric)!;

  it("differ by what was added, at each L0 that both reach", () => {
    expect(differences.map(({ other, range }) => [other, range])).toEqual([
      ["Gated", [8, 64]],
      ["TopK", [4, 32]],
    ]);
    const { overall, levels } = metricOf("Gated", "fvu");
    expect(levels.map(({ l0 }) => l0)).toEqual([8, expect.closeTo(Math.sqrt(8 * 64), 9), 64]);
    for (const { mean, n } of [overall, ...levels]) {
      expect(mean).toBeCloseTo(-0.05, 12);
      expect(n).toBe(5);
    }
    // Differences -0.05 -0.002 .. +0.002 in equal steps: deviation sqrt(2.5e-6), t quantile 2.776 of four degrees.
    const half = 2.7764451051977987 * Math.sqrt(2.5e-6 / 5);
    expect(overall.interval![0]).toBeCloseTo(-0.05 - half, 9);
    expect(overall.interval![1]).toBeCloseTo(-0.05 + half, 9);
    expect(overall.swapP).toBe(2 / 32);
    expect(metricOf("TopK", "deltaLoss").overall.mean).toBeCloseTo(0.04, 12);
  });

  it("are adjusted over all main tests", () => {
    const tests = differences.flatMap(({ metrics }) => metrics.map(({ overall }) => overall));
    expect(tests).toHaveLength(6);
    for (const { p, holmP } of tests) {
      expect(holmP!).toBeGreaterThanOrEqual(p!);
      expect(holmP!).toBeLessThanOrEqual(Math.min(1, 6 * p!));
    }
    const smallest = tests.toSorted((a, b) => a.p! - b.p!)[0]!;
    expect(smallest.holmP).toBeCloseTo(Math.min(1, 6 * smallest.p!), 14);
  });

  it("give verdicts by sign and adjusted p", () => {
    const verdicts = Object.fromEntries(
      claims.map(({ other, metric, verdict }) => [`${metric} ${other}`, verdict]),
    );
    expect(verdicts).toEqual({
      "deltaLoss Gated": "holds",
      "deltaLoss TopK": "reversed",
      "fvu Gated": "holds",
      "fvu TopK": "reversed",
      // Its share is the same function of L0 for both, up to what is between the points.
      "dense Gated": expect.any(String),
    });
    expect(claims[0]!.finding).toMatch(
      /^JumpReLU less Gated: -0\.1 \[.*\] from L0 8 to 64, 5 seeds, p /,
    );
  });

  it("stand beside shuffled labels, over what all reach", () => {
    const fvu = nulls.find(({ metric }) => metric === "fvu")!;
    expect(fvu.range).toEqual([8, 32]);
    // Less the mean of +0.05 and -0.02.
    expect(fvu.statistic).toBeCloseTo(-0.015, 12);
    expect(fvu.p).toBeGreaterThan(0.05);
  });

  it("are points of the figure by architecture and sparsity", () => {
    expect(points).toHaveLength(9);
    const gated = points.find(({ architecture, l0 }) => architecture === "Gated" && l0 === 8)!;
    expect(gated.seeds).toBe(5);
    expect(gated.metrics.fvu.mean).toBeCloseTo(1 - 3 / 16 + 0.05, 12);
    expect(gated.l0Interval).toEqual([8, 8]);
  });

  it("have intervals within what a share, an FVU and an L0 can be", () => {
    const apart = rows.map((row) => {
      const high = row.seed === 1;
      return { ...row, l0: high ? 50 : 1, fvu: high ? 1 : 0.01, dense: high ? 0.1 : 1 };
    });
    for (const { l0Interval, metrics } of compareRows(comparison, apart).points) {
      expect(l0Interval![0]).toBe(0);
      expect(metrics.fvu.interval![0]).toBe(0);
      expect(metrics.dense.interval![1]).toBe(1);
      expect(metrics.dense.interval![0]).toBeGreaterThan(0);
      expect(metrics.fvu.interval![1]).toBeGreaterThan(0.5);
    }
  });
});

describe("rows that are not all there", () => {
  it("of one seed have differences without intervals, and no verdict", () => {
    const { differences, claims } = compareRows(
      comparison,
      rows.filter(({ seed }) => seed === 3),
    );
    expect(differences[0]!.seeds).toEqual([3]);
    expect(differences[0]!.metrics[0]!.overall).toMatchObject({
      n: 1,
      interval: null,
      holmP: null,
    });
    expect(claims.every(({ verdict }) => verdict === "undecided")).toBe(true);
  });

  it("leave out a seed whose SAEs were given up, for that architecture alone", () => {
    const some = rows.filter((row) => row.architecture !== "TopK" || row.seed !== 2);
    const { differences, nulls } = compareRows(comparison, some);
    expect(differences.map((one) => one.seeds)).toEqual([seeds, [1, 3, 4, 5]]);
    expect(nulls[0]!.seeds).toBe(4);
  });

  it("are not compared without a common L0", () => {
    const apart = rows.map((row) =>
      row.architecture === "Gated" ? { ...row, l0: 100 * row.l0 } : row,
    );
    const { differences, claims, nulls } = compareRows(comparison, apart);
    expect(differences[0]).toMatchObject({ range: null, metrics: [] });
    expect(claims[0]).toMatchObject({
      verdict: "not compared",
      finding: expect.stringContaining("share no range of L0") as string,
    });
    expect(nulls).toEqual([]);
    expect(compareRows(comparison, [])).toMatchObject({ points: [], nulls: [] });
  });
});

describe("the pages", () => {
  it("say the same as the result, and parse back", () => {
    const result = resultOf(rows);
    expect(parseComparisonResult(JSON.parse(JSON.stringify(result)))).toEqual(result);
    const markdown = comparisonMarkdown(result);
    const page = renderComparison(result);
    for (const { claim, finding } of result.claims) {
      expect(markdown).toContain(`| ${claim} |`);
      expect(markdown).toContain(finding);
      expect(page).toContain(claim);
    }
    expect(page.match(/<svg viewBox="0 0 360 270"/g)).toHaveLength(3);
    // Nine points in each, that say what they are.
    expect(page.match(/<title>(?:JumpReLU|Gated|TopK), (?:k|lambda) [\d.]+: L0 /g)).toHaveLength(
      27,
    );
    expect(page.match(/<polyline/g)).toHaveLength(9);
    expect(page).not.toMatch(/NaN|<script|https?:/);
  });

  it("are markup whatever a model is called, and say what is missing", () => {
    const failed = [{ id: "train/seed_1/x", code: "TRAIN_DIVERGED" }];
    const page = renderComparison(resultOf(rows.slice(0, 9), { failed }));
    expect(page).toContain("a &lt;b&gt; model");
    expect(page).not.toContain("<b>");
    expect(page).toContain("train/seed_1/x (TRAIN_DIVERGED)");
    expect(page).toContain("Not all SAEs are done");
  });

  it("are there for no SAE at all", () => {
    expect(renderComparison(resultOf([]))).not.toContain("NaN");
    expect(comparisonMarkdown(resultOf([]))).toContain("0 of 45 SAEs");
  });

  it("refuse a result that is none", () => {
    expect(() => parseComparisonResult({ schemaVersion: 2 }, "compare.json")).toThrow(
      expect.objectContaining({ code: "COMPARISON_RESULT_INVALID" }),
    );
  });
});

describe("the choice of learning rates", () => {
  const trial = (factor: number, l0: number, fvu: number, seed = 7): Trial => ({
    architecture: "TopK",
    factor,
    seed,
    measured: { l0, fvu },
  });
  const choose = (trials: readonly Trial[]) =>
    chooseRates(comparison, trials).find(({ architecture }) => architecture === "TopK")!;

  it("is by FVU at the tuning's L0, not at an L0 of each rate's own", () => {
    // At L0 6 the first has 0.4, the second 0.3, though the first's SAEs have the lower FVU.
    const found = choose([
      trial(5, 3, 0.6),
      trial(5, 12, 0.2),
      trial(20, 3, 0.35),
      trial(20, 12, 0.25),
    ]);
    expect(found.tried.map(({ fvu }) => fvu)).toEqual([
      expect.closeTo(0.4, 12),
      expect.closeTo(0.3, 12),
    ]);
    expect(found).toMatchObject({ factor: 20, tuned: true, atEdge: true });
  });

  it("needs every seed to enclose that L0, and falls back on the recipe's own rate", () => {
    const half = [trial(5, 3, 0.6), trial(5, 12, 0.2), trial(5, 8, 0.1, 8), trial(5, 12, 0.1, 8)];
    const found = topK({ dSae: 24, k: 2, tokens: 1536, batchSize: 128 });
    expect(choose(half)).toMatchObject({
      factor: 1,
      tuned: false,
      learningRate: found.learningRate,
    });
    const stopped = half.map((one) => ({ ...one, measured: null }));
    expect(choose(stopped)).toMatchObject({ factor: 1, tuned: false });
  });
});

describe("the plan", () => {
  it("has as many trials for each architecture, on seeds of their own", () => {
    const trials = trialsOf(comparison);
    for (const { name } of comparison.architectures)
      expect(trials.filter(({ architecture }) => architecture === name)).toHaveLength(4);
    expect(new Set(trials.map(({ seed }) => seed))).toEqual(new Set([7]));
    expect(trials.filter(({ k }) => k !== null).map(({ k }) => k)).toEqual([2, 8, 2, 8]);
    expect(new Set(trials.map(({ id }) => id)).size).toBe(trials.length);
  });

  it("gives every SAE the same budget, and its own learning rate", () => {
    const runs = runsOf(comparison, new Map([["TopK", 20]]));
    expect(runs).toHaveLength(45);
    const configs = runs.map((sae) => trainingOf(comparison, sae));
    expect(new Set(configs.map(({ steps, batchSize }) => steps * batchSize))).toEqual(
      new Set([1536]),
    );
    const topk = runs.findIndex(({ architecture }) => architecture === "TopK");
    const own = trainingOf(comparison, { ...runs[topk]!, factor: 1 }).learningRate;
    expect(configs[topk]!.learningRate).toBe(20 * own);
  });
});

describe("a comparison's file", () => {
  const architectures = [
    { name: "TopK", recipe: "topk", k: [2, 4] },
    { name: "ReLU", recipe: "standard", sparsity: [0.1, 0.2] },
  ];
  it.each([
    [{ subject: "Nobody" }, "subject"],
    [{ tuning: { seeds: [2], factors: [1], l0: 6 } }, "tuning.seeds"],
    [{ architectures: [architectures[0], architectures[0]], subject: "TopK" }, "architectures"],
    [{ architectures: [architectures[0]], subject: "TopK" }, "architectures"],
    [
      { architectures: [architectures[1], { ...architectures[0], k: [2, 99] }], subject: "TopK" },
      "k",
    ],
    [{ architectures: [architectures[1], { ...architectures[0], k: [2] }], subject: "TopK" }, "k"],
    [{ architectures: [architectures[1], { name: "x", recipe: "topk", sparsity: [1, 2] }] }, "k"],
    [{ architectures: [architectures[1], { name: "x", recipe: "crosscoder" }] }, "recipe"],
    [{ widht: 3 }, "widht"],
    [{ seeds: [1, 1] }, "seeds"],
  ])("is refused by its field, case %#", (changes, field) => {
    expect(() => smallComparison(changes)).toThrow(ConfigError);
    expect(() => smallComparison(changes)).toThrow(field);
  });
});
