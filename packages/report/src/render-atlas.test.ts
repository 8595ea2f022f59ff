import { createHash } from "node:crypto";
import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { syntheticReport } from "./__fixtures__/synthetic-report.ts";
import type { AtlasReport } from "./atlas-report.ts";
import { pageScript, pageScriptHash } from "./page/script.ts";
import { renderAtlas } from "./render-atlas.ts";

const attacks = [
  "</script><script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "<svg/onload=alert(1)>",
  "</style><style>body{display:none}</style>",
  "' onmouseover='alert(1)",
  "<!-- --><iframe src=javascript:alert(1)></iframe>",
  "\u202egnp.exe\u0000\ud800&lt;b&gt;",
];

/** The page's elements by name, which text can only change by becoming markup. */
function census(page: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const element of parseHTML(page).document.querySelectorAll("*"))
    counts[element.tagName] = (counts[element.tagName] ?? 0) + 1;
  return counts;
}

describe("renderAtlas", () => {
  const report = syntheticReport();
  const page = renderAtlas(report);
  const { document } = parseHTML(page);

  it("allows its one script by the hash of its text", () => {
    expect(pageScriptHash).toBe(createHash("sha256").update(pageScript).digest("base64"));
    const scripts = [...document.querySelectorAll("script")];
    expect(scripts.map((script) => script.textContent)).toEqual([pageScript]);
    expect(document.querySelector("meta[http-equiv]")?.getAttribute("content")).toContain(
      `script-src 'sha256-${pageScriptHash}'`,
    );
  });

  it("refers to nothing outside itself", () => {
    for (const attribute of ["src", "srcset", "action", "data", "poster"])
      expect(document.querySelectorAll(`[${attribute}]`)).toHaveLength(0);
    const links = [...document.querySelectorAll("[href]")].map(
      (element) => element.getAttribute("href") ?? "",
    );
    expect(links.every((href) => href.startsWith("#") || href === "data:,")).toBe(true);
    expect(page.replaceAll("http://www.w3.org/", "")).not.toMatch(/https?:\/\/|@import|url\(/);
  });

  it("has no link to a place that is not there, and no id twice", () => {
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const link of document.querySelectorAll('a[href^="#"]'))
      expect(ids).toContain(link.getAttribute("href")?.slice(1));
  });

  it("draws all figures, each with a title and a description to read out", () => {
    const figures = [...document.querySelectorAll("figure")];
    expect(figures.map((figure) => figure.id)).toEqual([
      "figure-density",
      "figure-antipodality",
      "figure-cosines",
      "figure-pca",
      "figure-spectrum",
      "figure-nullspace",
      "figure-training",
    ]);
    for (const figure of figures) {
      expect(figure.querySelector("h3")?.textContent).not.toBe("");
      for (const svg of figure.querySelectorAll("svg"))
        expect(svg.getAttribute("aria-label")?.length).toBeGreaterThan(20);
    }
    expect(document.querySelectorAll("#figure-cosines rect").length).toBeGreaterThanOrEqual(
      33 * 33,
    );
    expect(document.querySelectorAll("#figure-antipodality circle").length).toBeGreaterThanOrEqual(
      report.antipodality.points.length,
    );
  });

  it("gives every dense latent a card with what is known of it", () => {
    expect(document.querySelectorAll("article.latent")).toHaveLength(33);
    const first = document.querySelector("#latent-1000");
    expect(first?.querySelector('a[href="#latent-1001"]')?.textContent).toBe("latent 1001");
    expect(
      [...(first?.querySelectorAll(".chip.label") ?? [])].map((chip) => chip.textContent),
    ).toEqual(["PCA", "null space"]);
    expect(first?.querySelectorAll(".tokens li")).toHaveLength(20);
    expect(first?.querySelectorAll(".contexts li")).toHaveLength(8);
    expect(first?.querySelectorAll(".contexts b.peak")).toHaveLength(8);
    // The text of a context is the text of its tokens, unbroken.
    expect(first?.querySelector(".contexts q")?.textContent).toBe(
      report.latents[0]?.contexts[0]?.texts.join("").replace(/\n/g, "\u21b5"),
    );
  });

  it("says shares with their false-positive rates", () => {
    const row = [...document.querySelectorAll("#classes tbody tr")].find((element) =>
      element.textContent.includes("null space"),
    );
    expect(
      [...(row?.querySelectorAll("td.number") ?? [])].map((cell) =>
        cell.textContent.replace(/\s+/g, " ").trim(),
      ),
    ).toEqual(["9.1%3 of 33", "1", "0.2%9 of 4,455", "0%0 of 256"]);
  });

  it("names no class while labels are withheld, and says why", () => {
    const withheld = parseHTML(renderAtlas(syntheticReport({ status: "withheld" }))).document;
    expect(withheld.querySelectorAll(".chip.label")).toHaveLength(0);
    expect(withheld.querySelectorAll(".chip.held")).toHaveLength(33);
    expect(withheld.querySelector(".banner")?.textContent).toContain("moved by 38%");
    expect(withheld.querySelector("#classes h2")?.textContent).toContain("withheld");
    expect(document.querySelector(".banner")).toBeNull();
    expect(
      parseHTML(renderAtlas(syntheticReport({ status: "unverified" }))).document.querySelector(
        ".banner",
      )?.textContent,
    ).toContain("unverified");
  });

  it.each(attacks)("never lets text become markup: %j", (attack) => {
    const hostile = renderAtlas(syntheticReport({ dense: 4, text: attack }));
    expect(census(hostile)).toEqual(census(renderAtlas(syntheticReport({ dense: 4, text: "x" }))));
    const attributes = [...parseHTML(hostile).document.querySelectorAll("*")].flatMap((element) =>
      [...element.attributes].map((attribute) => attribute.name),
    );
    expect(attributes.filter((name) => name.startsWith("on"))).toEqual([]);
    expect(hostile).not.toContain("\u202e");
    expect(hostile).not.toContain("\u0000");
  });

  it("stays below 3 MB with 200 latents", () => {
    expect(
      new TextEncoder().encode(renderAtlas(syntheticReport({ dense: 200 }))).length,
    ).toBeLessThan(3e6);
  });

  it("reads well where there is little: no dense latent, no history, no read-out", () => {
    const empty = syntheticReport({ dense: 0 });
    const bare: AtlasReport = {
      ...empty,
      training: null,
      metrics: [],
      classes: [],
      pca: { cut: 0.75, explained: [] },
      alphabet: { ...empty.alphabet, baseRates: [] },
      density: { ...empty.density, dense: 0, histogram: [] },
      nullspace: { ...empty.nullspace, singularValues: [], histogram: [] },
      antipodality: {
        ...empty.antipodality,
        points: [],
        byDensity: [],
        strongDense: 0,
        strongPairs: 0,
      },
    };
    const short = renderAtlas(bare);
    expect(short).not.toMatch(/NaN|undefined|Infinity/);
    expect(parseHTML(short).document.querySelector("#latents")?.textContent).toContain(
      "No latent fires on more than 10% of tokens",
    );
    expect(renderAtlas(report)).not.toMatch(/NaN|undefined|Infinity/);
  });
});
