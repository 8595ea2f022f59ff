/**
 * The example page, built by Vite and opened in Chromium: what its worker reads on WebGPU and on WebAssembly is what Node reads on
 * its CPU device.
 */
import { openCpuDevice } from "@latentkit/backend-cpu";
import { addVector, type LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { loadTiny, loadTinySae } from "@latentkit/tiny/node";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { folderSite, launchChromium, serveSite, withoutChromium } from "../support/chromium.ts";
import { repository } from "../support/packages.ts";
import { run, userEnvironment } from "../support/run.ts";

registerMatchers(expect);

const text = "She put the key in";
const layer = 3;
const site = `blocks.${layer}.hook_resid_post`;
/**
 * Sums of at most 704 products in f32 in another order, through 6 blocks: some 1e-5 of the residual stream. Values at the site are of
 * size 10 and latents up to 30.
 */
const tolerance = { rtol: 1e-4, atol: 2e-3 };

/** What the worker answers, as far as it is looked at here. */
interface Reading {
  readonly device: { readonly chosen: string; readonly why: string };
  readonly site: string;
  readonly width: number;
  readonly tokens: readonly {
    readonly id: number;
    readonly active: readonly { readonly latent: number; readonly activation: number }[];
  }[];
  readonly next: readonly {
    readonly id: number;
    readonly logit: number;
    readonly probability: number;
    readonly steered: { readonly logit: number; readonly probability: number } | null;
  }[];
}

describe.skipIf(withoutChromium("the playground in Chromium"))("the playground", () => {
  let folder: string;
  let browser: Browser;
  let server: Awaited<ReturnType<typeof serveSite>>;
  let device: Device;
  let model: LanguageModel;
  let sae: Sae;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "latentkit-playground-"));
    const built = await run(
      process.execPath,
      [
        join(repository, "node_modules/vite/bin/vite.js"),
        "build",
        "--outDir",
        folder,
        "--emptyOutDir",
      ],
      { cwd: join(repository, "apps/playground"), env: userEnvironment() },
    );
    expect(built.code, built.stdout + built.stderr).toBe(0);
    expect(built.stdout + built.stderr).not.toMatch(/warn|externalized/i);
    server = await serveSite(folderSite(folder));
    browser = await launchChromium({ webgpu: true });
    device = await openCpuDevice();
    model = await loadTiny({ device });
    sae = await loadTinySae({ device, layer });
  });
  afterAll(async () => {
    device?.dispose();
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** The page, whose worker's answers are kept in `answers`, after its first reading. */
  async function open(
    options: { width?: number; dark?: boolean; isolated?: boolean; in?: Browser } = {},
  ): Promise<Page> {
    const { width = 1280, dark = false, isolated = false } = options;
    const page = await (options.in ?? browser).newPage({
      viewport: { width, height: 900 },
      colorScheme: dark ? "dark" : "light",
    });
    // Text: these tests are compiled without the DOM's types.
    await page.addInitScript(`{
      globalThis.answers = [];
      const Plain = Worker;
      globalThis.Worker = class extends Plain {
        constructor(...given) {
          super(...given);
          this.addEventListener("message", ({ data }) => answers.push(data));
        }
      };
    }`);
    await page.goto(`${server.address}${isolated ? "?isolated" : ""}`);
    await answered(page, 1);
    return page;
  }

  /** Waits until so many questions are answered. */
  async function answered(page: Page, count: number): Promise<void> {
    await page.waitForFunction(
      `answers.filter(({ kind }) => kind !== "progress").length >= ${count}`,
      undefined,
      { timeout: 110_000 },
    );
  }

  const lastReading = (page: Page): Promise<Reading> =>
    page.evaluate<Reading>(`answers.findLast(({ kind }) => kind === "reading").reading`);

  async function ask(page: Page, change: () => Promise<unknown>): Promise<Reading> {
    const before = await page.evaluate<number>(
      `answers.filter(({ kind }) => kind !== "progress").length`,
    );
    await change();
    await answered(page, before + 1);
    return lastReading(page);
  }

  /** Every figure of the reading against Node's CPU device. */
  async function compare(
    reading: Reading,
    steering: { readonly latent: number; readonly strength: number } | null,
  ): Promise<void> {
    const ids = [...model.tokenizer!.encode(text).ids];
    const tokens = [model.tokenizer!.specialTokens.bos!, ...ids];
    expect(reading).toMatchObject({ site, width: 1536 });
    expect(reading.tokens.map(({ id }) => id)).toEqual(ids);

    using clean = model.run([tokens], { capture: [site], logits: "last" });
    const logits = await clean.logits!.floats();
    const shown = reading.next.map(({ id }) => id);
    const rank = (values: Float32Array): number[] =>
      [...values.keys()].sort((a, b) => values[b]! - values[a]!).slice(0, 10);
    expect(shown).toEqual(expect.arrayContaining(rank(logits)));
    const expected = (values: Float32Array): number[] => shown.map((id) => values[id]!);
    const logSumExp = (values: Float32Array): number =>
      Math.log(values.reduce((total, value) => total + Math.exp(value), 0));
    expect(reading.next.map(({ logit }) => logit)).toBeClose(expected(logits), tolerance);
    // By the probabilities all other logits are compared too.
    expect(reading.next.map(({ probability }) => Math.log(probability))).toBeClose(
      expected(logits).map((logit) => logit - logSumExp(logits)),
      tolerance,
    );

    using stream = clean.captured.get(site)!.reshape([tokens.length, sae.config.dIn]);
    using rows = stream.rows(1, tokens.length);
    using pre = sae.preActivations(rows);
    const [values, thresholds] = [await pre.floats(), await sae.threshold!.floats()];
    let active = 0;
    const [got, wanted]: [number[], number[]] = [[], []];
    for (const [row, token] of reading.tokens.entries()) {
      const found = new Map(token.active.map((one) => [one.latent, one.activation]));
      for (let latent = 0; latent < 1536; latent++) {
        const value = values[row * 1536 + latent]!;
        const fires = value > thresholds[latent]!;
        active += Number(fires);
        // Within the tolerance of its threshold a latent may fire in one of the two.
        if (Math.abs(value - thresholds[latent]!) < tolerance.atol) continue;
        got.push(found.get(latent) ?? 0);
        wanted.push(fires ? value : 0);
      }
      const sizes = token.active.map(({ activation }) => activation);
      expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    }
    expect(got).toBeClose(wanted, tolerance);
    expect(active).toBeGreaterThan(100);
    expect(wanted.length).toBeGreaterThan(0.99 * 1536 * ids.length);

    if (steering === null) {
      expect(shown).toEqual(rank(logits));
      expect(reading.next.every(({ steered }) => steered === null)).toBe(true);
      return;
    }
    const vector = (await sae.decoder.floats()).slice(
      steering.latent * sae.config.dIn,
      (steering.latent + 1) * sae.config.dIn,
    );
    const positions = ids.map((_, place) => place + 1);
    const edit = addVector(vector, { scale: steering.strength, positions });
    using steered = model.run([tokens], { edits: [{ site, edit }], logits: "last" });
    const changed = await steered.logits!.floats();
    expect(shown).toEqual(expect.arrayContaining(rank(changed)));
    expect(reading.next.map((one) => one.steered!.logit)).toBeClose(expected(changed), tolerance);
    // The steering did something: more than any tolerance could hide.
    expect(Math.max(...changed.map((logit, id) => Math.abs(logit - logits[id]!)))).toBeGreaterThan(
      0.5,
    );
  }

  it.each(["cpu", "webgpu"])("reads and steers on %s as Node does", async (name) => {
    const page = await open();
    try {
      expect(page.workers()).toHaveLength(1);
      await ask(page, () => page.fill("#text", text));
      const reading = await ask(page, () => page.selectOption("#device", name));
      expect(reading.device).toMatchObject({ chosen: name, why: "it was asked for" });
      await compare(reading, null);

      // The strongest latent of the last token, at half of the slider's range.
      await page.locator("#latents button").first().click();
      const latent = reading.tokens.at(-1)!.active[0]!.latent;
      const steered = await ask(page, () =>
        page.evaluate(`{
          const slider = document.querySelector("#strength");
          slider.value = slider.max / 2;
          slider.dispatchEvent(new Event("input"));
        }`),
      );
      const strength = Number(await page.locator("#strength").inputValue());
      expect(strength).toBeGreaterThan(0);
      await compare(steered, { latent, strength });
    } finally {
      await page.close();
    }
  });

  it("shows what was read and chosen, and says what went wrong", async () => {
    const page = await open({ isolated: true, width: 360, dark: true });
    try {
      // With cross-origin isolation too.
      expect(await page.evaluate("crossOriginIsolated")).toBe(true);
      const reading = await ask(page, () => page.fill("#text", text));
      await compare(reading, null);
      // Automatic choice passes over a software adapter, and says so.
      expect(reading.device.chosen).toBe("cpu");
      expect(await page.textContent("#taken")).toContain("SOFTWARE_ADAPTER");

      const tokens = page.locator("#tokens button");
      expect(await tokens.allTextContents()).toEqual(["She", " put", " the", " key", " in"]);
      await tokens.nth(3).click();
      expect(await tokens.nth(3).getAttribute("aria-pressed")).toBe("true");
      const { active } = reading.tokens[3]!;
      const listed = page.locator("#latents button");
      expect(
        await page.evaluate(
          `[...document.querySelectorAll("#latents data")].map((one) => Number(one.value))`,
        ),
      ).toEqual(active.slice(0, 12).map(({ activation }) => activation));

      // A latent that is followed shades the tokens where it is active.
      await listed.nth(2).click();
      const { latent } = active[2]!;
      for (const [place, token] of reading.tokens.entries()) {
        const found = token.active.find((one) => one.latent === latent)?.activation;
        expect(await tokens.nth(place).getAttribute("data-activation")).toBe(
          found === undefined ? null : String(found),
        );
      }
      for (const width of [360, 1280]) {
        await page.setViewportSize({ width, height: 900 });
        const overflow = "document.documentElement.scrollWidth - innerWidth";
        expect(await page.evaluate(overflow)).toBeLessThanOrEqual(0);
        // Large enough for fingers: WCAG 2.2, target size.
        const least = `Math.min(...[...document.querySelectorAll("#reading button")].map((one) => one.getBoundingClientRect().height))`;
        expect(await page.evaluate(least)).toBeGreaterThanOrEqual(24);
      }
      await page.click("#release");
      expect(await page.locator("#tokens [data-activation]").count()).toBe(0);
      expect(await page.isVisible("#chosen")).toBe(false);

      await ask(page, () => page.fill("#text", "word ".repeat(700)));
      expect(await page.textContent("[role=alert]")).toMatch(/512.*CONTEXT_OVERFLOW/s);
      // What is typed is text, wherever it is shown.
      await ask(page, () => page.fill("#text", "<img src=x onerror=alert(1)>"));
      expect(await page.isVisible("[role=alert]")).toBe(false);
      expect(await page.locator("img").count()).toBe(0);
      await ask(page, () => page.fill("#text", ""));
      expect(await page.textContent("#tokens-note")).toContain("type something");
    } finally {
      await page.close();
    }
  });

  it("does without WebGPU, and says why", async () => {
    await using plain = await launchChromium({ webgpu: false });
    const page = await open({ in: plain });
    expect((await lastReading(page)).device.chosen).toBe("cpu");
    expect(await page.textContent("#taken")).toMatch(/WEBGPU_(?:UNAVAILABLE|NO_ADAPTER)/);
    await ask(page, () => page.selectOption("#device", "webgpu"));
    expect(await page.textContent("[role=alert]")).toMatch(/WEBGPU_(?:UNAVAILABLE|NO_ADAPTER)/);
    await ask(page, () => page.selectOption("#device", "cpu"));
    expect(await page.isVisible("[role=alert]")).toBe(false);
  });
});
