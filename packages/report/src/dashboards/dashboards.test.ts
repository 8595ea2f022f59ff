import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderSaeEvaluation } from "../evaluation/render-sae-evaluation.ts";
import type { SaeEvaluationReport } from "../evaluation/sae-evaluation-report.ts";
import type { DashboardFeature, DashboardsReport } from "./dashboards-report.ts";
import { renderDashboards } from "./render-dashboards.ts";

const attack = `</script><img src="http://127.0.0.1:9/x.png" onerror="document.title='owned'"><script>document.title='owned'</script>`;

function feature(index: number, text: string): DashboardFeature {
  const dead = index === 3;
  const window = (low: number, strength: number) => ({
    bin_min: low,
    bin_max: 4,
    bin_contains: 0.01,
    tokens: ["The", " old", text, "\n", "\u202eend"],
    values: [0, 0, strength, 0.5, 0],
    qualifying_token_index: 2,
  });
  return {
    feature_index: index,
    neg_str: [text, "no"],
    neg_values: [-1.5, -1],
    pos_str: [" yes"],
    pos_values: [2],
    frac_nonzero: dead ? 0 : 0.02 * (index + 1) ** 2,
    freq_hist_data_bar_heights: dead ? [] : [9, 4, 0, 1],
    freq_hist_data_bar_values: dead ? [] : [0.5, 1.5, 2.5, 3.5],
    logits_hist_data_bar_heights: [1, 20, 3],
    logits_hist_data_bar_values: [-1, 0, 1],
    activations: dead
      ? []
      : [...[4, 3.5, 3, 2, 2, 2, 2].map((top) => window(-1, top)), window(1, 1.5)],
  };
}

function report(text = "cat"): DashboardsReport {
  const score = (value: number) => ({
    balancedAccuracy: value,
    interval: [value - 0.1, value + 0.05] as const,
    answered: 18,
    unanswered: 2,
  });
  const summary = {
    latents: 3,
    mean: 0.8,
    interval: [0.7, 0.9] as const,
    shuffledMean: 0.51,
    gain: 0.29,
    gainInterval: [0.1, 0.4] as const,
  };
  return {
    batch: {
      model_id: text,
      layer: 3,
      sae_set: text,
      features: [0, 1, 2, 3].map((index) => feature(index, text)),
    },
    interpretation: {
      judge: text,
      explainer: "somebody else",
      latents: [0, 1, 2, 3].map((latent) => ({
        latent,
        explanation: latent === 3 ? null : `About ${text}.`,
        failure: latent === 3 ? `unreadable: ${text}` : null,
        scores: latent === 3 ? null : { detection: score(0.6 + 0.1 * latent), fuzzing: null },
        shuffled: latent === 3 ? null : { detection: score(0.5), fuzzing: null },
      })),
      summary: { detection: summary, fuzzing: { ...summary, mean: null, interval: null } },
    },
    text: { name: text, tokens: 12_345 },
  };
}

const evaluation: SaeEvaluationReport = {
  sae: { identity: "ab".repeat(32), architecture: "topk", dIn: 8, dSae: 4 },
  model: { name: attack, weightsHash: "cd".repeat(32) },
  site: attack,
  seed: 0,
  metrics: {
    tokens: 1000,
    documents: 10,
    l0: 2,
    l0Interval: [1.9, 2.1],
    fvu: 0.3,
    fvuInterval: [0.2, 0.4],
    fvuLegacy: 0.35,
    fvuLegacyInterval: null,
    fvuWithMasked: null,
    deadFraction: 0.25,
    denseFraction: 0.25,
    denseFractionInterval: [0.25, 0.5],
    densities: [0, 0.001, 0.02, 1],
    relativeReconstructionBias: 0.97,
    relativeReconstructionBiasInterval: null,
    l2Ratio: 0.9,
    l2RatioInterval: null,
    cosine: 0.88,
    cosineInterval: [0.87, 0.89],
    byPosition: [
      { first: 1, last: 1, tokens: 10, error: 0.2, interval: [0.1, 0.3] },
      { first: 2, last: 3, tokens: 20, error: 0.35, interval: null },
    ],
  },
  splice: {
    contexts: 4,
    tokens: 400,
    cleanLoss: 3,
    splicedLoss: 3.2,
    ablatedLoss: 9,
    meanAblatedLoss: 8,
    delta: 0.2,
    recovered: 0.967,
    recoveredFromMean: 0.96,
    kl: 0.18,
    ablatedKl: 6,
    meanAblatedKl: 5,
    klScore: 0.97,
    klScoreFromMean: null,
    intervals: {
      cleanLoss: [2.9, 3.1],
      splicedLoss: [3.1, 3.3],
      delta: [0.18, 0.22],
      kl: null,
      klScore: null,
      klScoreFromMean: null,
      recovered: [0.95, 0.98],
      recoveredFromMean: null,
    },
  },
  uniformity: {
    tokens: 4,
    uniformity: 0.61,
    interval: [0.5, 0.7],
    effectiveLatents: 12.3,
    effectiveLatentsInterval: null,
  },
};

describe("renderDashboards", () => {
  it("shows windows, tokens, explanations and scores", () => {
    const html = renderDashboards(report());
    expect(html).toContain("About cat.");
    expect(html).toContain("No explanation: unreadable: cat");
    // Peak and strength, line ends and direction overrides made visible.
    expect(html).toMatch(/<b class="h9 peak" title="4">cat<\/b>/u);
    expect(html).toContain("\u21b5");
    expect(html).toContain("\u27e8U+202E\u27e9");
    expect(html).toContain("\u2423yes");
    expect(html).toMatch(/0\.6 <small>0\.5 to 0\.65<\/small>/u);
    expect(html).toContain("2 unanswered; another&#39;s explanation: 0.5");
    expect(html).toContain("2 more of the strongest");
    expect(html).toContain("between 1 and 4 (1% of tokens)");
    expect(html).toContain("too few windows");
    expect(html.match(/<article/gu)).toHaveLength(4);
  });

  it("needs no judge", () => {
    const { batch } = report();
    const html = renderDashboards({ batch });
    expect(html).not.toContain("Judge");
    expect(html).not.toContain('id="scores"');
  });

  it("takes no text for markup, wherever it stands", () => {
    for (const html of [renderDashboards(report(attack)), renderSaeEvaluation(evaluation)]) {
      expect(html).not.toContain("<img");
      expect(html.match(/<\/script>/gu) ?? []).toHaveLength(html.includes("data-latents") ? 1 : 0);
      expect(html).toContain("&lt;img");
    }
  });
});

const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";

describe("the pages in Chromium", () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "latentkit-dashboards-"));
    browser = await chromium.launch({
      executablePath,
      args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("are quiet and fit, fetch and run nothing that a corpus or a judge says, and filter and sort", async () => {
    for (const [name, html, width] of [
      ["attack", renderDashboards(report(attack)), 400],
      ["evaluation", renderSaeEvaluation(evaluation), 400],
      ["dashboards", renderDashboards(report()), 1200],
    ] as const) {
      const file = join(folder, `${name}.html`);
      await writeFile(file, html);
      const url = pathToFileURL(file).href;
      const context = await browser.newContext({ viewport: { width, height: 900 } });
      const page = await context.newPage();
      const noise: string[] = [];
      page.on("console", (message) => noise.push(message.text()));
      page.on("pageerror", (error) => noise.push(error.message));
      page.on("request", (request) => {
        if (request.url() !== url) noise.push(request.url());
      });
      await page.goto(url, { waitUntil: "load" });
      expect(noise).toEqual([]);
      expect(await page.title()).not.toBe("owned");
      expect(
        await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"),
      ).toBeLessThanOrEqual(0);
      if (name === "dashboards") {
        const shown = page.locator("article.latent:not([hidden])");
        expect(await shown.count()).toBe(4);
        await page.locator("[name=kind]").selectOption("explained");
        expect(await shown.count()).toBe(3);
        await page.locator("[name=order]").selectOption("score");
        expect(await shown.first().getAttribute("id")).toBe("latent-2");
        await page.locator("[name=kind]").selectOption("");
        await page.locator("[name=q]").fill("#3");
        expect(await shown.count()).toBe(1);
      }
      await context.close();
    }
  });
});
