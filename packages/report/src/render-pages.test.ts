import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { syntheticSuite, syntheticTraining } from "./__fixtures__/synthetic-pages.ts";
import { layerFigure, valueAt } from "./figures/suite.ts";
import { renderSuite } from "./render-suite.ts";
import { renderTraining } from "./render-training.ts";

const attacks = [
  "</script><script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "</style><style>body{display:none}</style>",
  "' onmouseover='alert(1)",
  "\u202egnp.exe\u0000\ud800&lt;b&gt;",
];

/** The page's elements by name, which text can only change by becoming markup. */
function census(page: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const element of parseHTML(page).document.querySelectorAll("*"))
    counts[element.tagName] = (counts[element.tagName] ?? 0) + 1;
  return counts;
}

describe.each([
  ["renderTraining", (text?: string) => renderTraining(syntheticTraining(text))],
  ["renderSuite", (text?: string) => renderSuite(syntheticSuite(text))],
])("%s", (_name, render) => {
  const page = render();
  const { document } = parseHTML(page);

  it("opens without a network and without a script", () => {
    for (const attribute of ["src", "srcset", "action", "data", "poster"])
      expect(document.querySelectorAll(`[${attribute}]`)).toHaveLength(0);
    expect(document.querySelectorAll("script")).toHaveLength(0);
    const policy = document.querySelector("meta[http-equiv]")?.getAttribute("content");
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("script-src");
    expect(page.replaceAll("http://www.w3.org/", "")).not.toMatch(/https?:\/\/|@import|url\(/);
  });

  it("has no link to a place that is not there, and no id twice", () => {
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const link of document.querySelectorAll('a[href^="#"]'))
      expect(ids).toContain(link.getAttribute("href")?.slice(1));
  });

  it("describes each of its plots", () => {
    const plots = [...document.querySelectorAll("svg[role=img]")];
    expect(plots.length).toBeGreaterThan(3);
    for (const plot of plots) {
      expect(plot.getAttribute("aria-label")).toMatch(/\w{3}/u);
      expect(plot.outerHTML).not.toContain("NaN");
    }
  });

  it("shows what others wrote as text", () => {
    const attacked = render(attacks.join(" "));
    expect(census(attacked)).toEqual(census(page));
    for (const attack of attacks) expect(attacked).not.toContain(attack);
  });
});

describe("renderTraining", () => {
  const { document } = parseHTML(renderTraining(syntheticTraining()));

  it("says what became of each SAE, and why", () => {
    const rows = [...document.querySelectorAll("#outcome tbody tr")].map((row) => row.textContent);
    expect(rows).toHaveLength(3);
    expect(rows[0]).toContain("1,000,000 of 1,000,000");
    expect(rows[2]).toContain("12,000 of 1,000,000");
    expect(document.querySelector(".banner")?.textContent).toContain("the FVU of step 12 is 1e6");
  });

  it("draws a line for each SAE that has points, in the legend's order", () => {
    const legend = [...document.querySelectorAll("#figures > .legend li")];
    expect(legend.map((item) => item.textContent?.trim())).toEqual([
      "short a",
      "short b",
      "short c",
    ]);
    const strokes = document.querySelector("#figure-quality svg")?.outerHTML ?? "";
    expect(strokes).toContain("--series-0");
    expect(strokes).toContain("--series-1");
  });

  it("leaves out what there is nothing to draw of", () => {
    const report = syntheticTraining();
    const [first] = report.saes;
    const alone = first === undefined ? [] : [{ ...first, schedule: [] }];
    const single = parseHTML(renderTraining({ ...report, saes: alone })).document;
    expect(single.querySelector("#figure-schedule")).toBeNull();
    expect(single.querySelector("#figure-frontier")).toBeNull();
    expect(single.querySelector("#figure-quality")).not.toBeNull();
  });
});

describe("renderSuite", () => {
  it("has a Pareto figure for each site, a density panel for each place, and every SAE in its table", () => {
    const { document } = parseHTML(renderSuite(syntheticSuite()));
    const ids = [...document.querySelectorAll("figure")].map(({ id }) => id);
    expect(ids).toEqual([
      "figure-pareto-res",
      "figure-pareto-att",
      "figure-layers",
      ...["res-0", "res-1", "res-2", "att-0", "att-1", "att-2"].map(
        (key) => `figure-density-${key}`,
      ),
    ]);
    expect(document.querySelectorAll("#table tbody tr")).toHaveLength(18);
    expect(document.querySelector(".banner")?.textContent).toContain("1 of 19 are missing");
  });

  it("is whole before there is any SAE", () => {
    const { document } = parseHTML(renderSuite({ ...syntheticSuite(), rows: [] }));
    expect(document.querySelectorAll("figure")).toHaveLength(0);
    expect(document.querySelectorAll("#table tbody tr")).toHaveLength(0);
  });
});

describe("valueAt", () => {
  const line = [
    { l0: 100, value: 1 },
    { l0: 1, value: 5 },
    { l0: 10, value: 3 },
  ];

  it("interpolates linearly in log L0, and never beyond the line", () => {
    expect(valueAt(line, Math.sqrt(10))).toBeCloseTo(4, 12);
    expect(valueAt(line, 10)).toBe(3);
    expect(valueAt(line, 1)).toBe(5);
    expect(valueAt(line, 100)).toBe(1);
    expect(valueAt(line, 0.9)).toBeNull();
    expect(valueAt(line, 101)).toBeNull();
    expect(valueAt([], 1)).toBeNull();
  });

  it("gives the figure of layers its heights", () => {
    const suite = syntheticSuite();
    expect(layerFigure(suite)?.description).toContain("at an L0 of 61");
    const one = suite.rows.filter(({ sparsity }) => sparsity === 1e-3);
    expect(layerFigure({ ...suite, rows: one })?.description).toBe(
      "Delta loss by layer of each SAE.",
    );
    expect(layerFigure({ ...suite, rows: one.slice(0, 1) })).toBeNull();
  });
});
