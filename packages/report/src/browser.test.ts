import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { syntheticReport } from "./__fixtures__/synthetic-report.ts";
import { syntheticSuite, syntheticTraining } from "./__fixtures__/synthetic-pages.ts";
import { renderAtlas } from "./render-atlas.ts";
import { renderSuite } from "./render-suite.ts";
import { renderTraining } from "./render-training.ts";

const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";
const missing = !existsSync(executablePath);
if (missing && process.env["CI"] !== "true")
  process.stderr.write(
    `skipping the report's browser tests: no Chromium at ${executablePath} (set CHROMIUM_PATH)\n`,
  );

const attack = `</script><img src="http://127.0.0.1:9/x.png" onerror="document.title='owned'"><script>document.title='owned'</script>`;

describe.skipIf(missing && process.env["CI"] !== "true")("the report in Chromium", () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "latentkit-report-"));
    browser = await chromium.launch({
      executablePath,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  interface Opened extends AsyncDisposable {
    readonly page: Page;
    /** Console messages, page errors and requests other than for the file itself. */
    readonly noise: string[];
  }

  async function open(
    html: string,
    options: { width: number; dark?: boolean; javaScript?: boolean },
  ): Promise<Opened> {
    const file = join(folder, `${Math.random().toString(36).slice(2)}.html`);
    await writeFile(file, html);
    const url = pathToFileURL(file).href;
    const context = await browser.newContext({
      viewport: { width: options.width, height: 900 },
      colorScheme: options.dark === true ? "dark" : "light",
      javaScriptEnabled: options.javaScript !== false,
    });
    const page = await context.newPage();
    const noise: string[] = [];
    page.on("console", (message) => noise.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
    page.on("request", (request) => {
      if (request.url() !== url) noise.push(`request: ${request.url()}`);
    });
    await page.goto(url, { waitUntil: "load" });
    return { page, noise, [Symbol.asyncDispose]: () => context.close() };
  }

  /** Code for the page itself, as text: these tests are compiled without the DOM's types. */
  const overflow = `document.documentElement.scrollWidth - window.innerWidth`;
  const contrast = `(() => {
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
    const page = parse(getComputedStyle(document.body).backgroundColor);
    const ratio = (a, b) => { const [high, low] = [light(a), light(b)].sort((x, y) => y - x); return (high + 0.05) / (low + 0.05); };
    const behind = (element) => { for (let node = element; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return page; };
    return Math.min(...[...document.querySelectorAll("p, li, dd, dt, th, td, figcaption, .chip, a, .banner p, label, summary, cite")].map((element) => ratio(parse(getComputedStyle(element).color), behind(element))));
  })()`;

  for (const width of [1280, 400]) {
    for (const dark of [false, true]) {
      it(`is quiet, fits and can be read at ${width} px, ${dark ? "dark" : "light"}`, async () => {
        await using opened = await open(renderAtlas(syntheticReport({ status: "withheld" })), {
          width,
          dark,
        });
        expect(opened.noise).toEqual([]);
        expect(await opened.page.evaluate(overflow)).toBeLessThanOrEqual(0);
        // WCAG AA for text.
        expect(await opened.page.evaluate(contrast)).toBeGreaterThanOrEqual(4.5);
        for (const id of [
          "density",
          "antipodality",
          "cosines",
          "pca",
          "spectrum",
          "nullspace",
          "training",
        ]) {
          const box = await opened.page.locator(`#figure-${id} svg`).first().boundingBox();
          expect(box?.width).toBeGreaterThan(200);
          expect(box?.height).toBeGreaterThan(100);
        }
      });
    }
  }

  it.each([
    ["training", renderTraining(syntheticTraining())],
    ["suite", renderSuite(syntheticSuite())],
  ])("shows the page of a %s at any width, without a request", async (_name, html) => {
    for (const [width, dark] of [
      [1280, false],
      [400, true],
    ] as const) {
      await using opened = await open(html, { width, dark });
      expect(opened.noise).toEqual([]);
      expect(await opened.page.evaluate(overflow)).toBeLessThanOrEqual(0);
      expect(await opened.page.evaluate(contrast)).toBeGreaterThanOrEqual(4.5);
      const box = await opened.page.locator("figure svg").first().boundingBox();
      expect(box?.width).toBeGreaterThan(200);
    }
  });

  it("filters and sorts by its inline script, which the policy lets run", async () => {
    await using opened = await open(renderAtlas(syntheticReport()), { width: 1280 });
    const { page } = opened;
    const shown = page.locator("article.latent:not([hidden])");
    expect(await shown.count()).toBe(33);
    await page.locator("[name=kind]").selectOption("nullspace");
    expect(await shown.count()).toBe(3);
    await page.locator("[name=kind]").selectOption("");
    await page.locator("[name=q]").fill("#1007");
    expect(await shown.count()).toBe(1);
    expect(await page.locator("[name=count]").textContent()).toBe("1 of 33 shown");
    // A partner's link brings a filtered card back.
    await shown.locator("a[href='#latent-1006']").click();
    expect(await page.locator("#latent-1006").isVisible()).toBe(true);
    await page.locator("[name=order]").selectOption("latent");
    expect(await page.locator("article.latent").first().getAttribute("id")).toBe("latent-1000");
    expect(opened.noise).toEqual([]);
  });

  it("shows everything without JavaScript, and no dead controls", async () => {
    await using opened = await open(renderAtlas(syntheticReport()), {
      width: 1280,
      javaScript: false,
    });
    expect(await opened.page.locator("article.latent").count()).toBe(33);
    expect(await opened.page.locator(".controls").isVisible()).toBe(false);
  });

  it("runs, fetches and restyles nothing that a corpus says", async () => {
    await using opened = await open(renderAtlas(syntheticReport({ dense: 6, text: attack })), {
      width: 400,
    });
    expect(opened.noise).toEqual([]);
    expect(await opened.page.title()).toContain("</script>");
    expect(await opened.page.locator("img, iframe").count()).toBe(0);
    expect(await opened.page.evaluate(overflow)).toBeLessThanOrEqual(0);
  });
});
