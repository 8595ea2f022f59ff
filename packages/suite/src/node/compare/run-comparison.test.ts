import { openActivations } from "@latentkit/activations/node";
import { AbortedError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { evaluateSae, spliceLoss, storeContexts } from "@latentkit/sae";
import { loadSae } from "@latentkit/sae/node";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { smallComparison, twoArchitectures } from "../../testing/small-comparison.ts";
import { filesOf } from "../../testing/files-of.ts";
import { smallDocuments, smallModel } from "../../testing/small-suite.ts";
import { runsOf, trialsOf } from "../../compare/plan.ts";
import { parseComparisonResult } from "../../compare/result.ts";
import { comparisonStatus } from "./comparison-status.ts";
import { type ComparisonRun, runComparison } from "./run-comparison.ts";

let root: string;
let model: LanguageModel;
let whole: ComparisonRun;
const comparison = smallComparison(twoArchitectures);
const trials = trialsOf(comparison);
const jobs = 1 + trials.length + 2 * runsOf(comparison, new Map()).length;

const options = (out: string) => ({
  comparison,
  model,
  documents: smallDocuments(),
  out: join(root, out),
});

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "latentkit-compare-"));
  model = smallModel();
  whole = await runComparison(options("whole"));
}, 300_000);
afterAll(() => rm(root, { recursive: true, force: true }));

describe("a whole comparison", () => {
  it("does every job, and writes down what it found", async () => {
    expect(whole).toMatchObject({ ran: jobs, skipped: 0 });
    const { result } = whole;
    expect(result.rows).toHaveLength(8);
    expect(result.planned).toBe(8);
    expect(result.failed).toEqual([]);
    const written: unknown = JSON.parse(await readFile(join(root, "whole/compare.json"), "utf8"));
    expect(parseComparisonResult(written)).toEqual(result);
    expect(await readFile(join(root, "whole/compare.md"), "utf8")).toContain("8 of 8 SAEs");
    expect(await readFile(join(root, "whole/compare.html"), "utf8")).toContain("<polyline");
    for (const { architecture, k, l0 } of result.rows)
      if (architecture === "TopK") {
        // At most k, and fewer where less than k pre-activations are above 0.
        expect(l0).toBeLessThanOrEqual(k!);
        expect(l0).toBeGreaterThan(k! / 2);
      }
  });

  it("chooses by the trials, and trains by the choice", () => {
    const topk = whole.result.choices.find(({ architecture }) => architecture === "TopK")!;
    expect(topk.tuned).toBe(true);
    const fvus = topk.tried.map(({ fvu }) => fvu!);
    expect(topk.tried[fvus.indexOf(Math.min(...fvus))]!.factor).toBe(topk.factor);
    for (const row of whole.result.rows)
      if (row.architecture === "TopK") expect(row.learningRate).toBe(topk.learningRate);
  });

  it("says of an SAE what separate measurements say", async () => {
    const factors = new Map(whole.result.choices.map((one) => [one.architecture, one.factor]));
    const store = await openActivations(join(root, "whole/activations"));
    const contexts = await storeContexts(store, { limit: 8 });
    for (const sae of runsOf(comparison, factors).filter((_, index) => index % 3 === 0)) {
      using own = await loadSae(join(root, "whole/jobs", sae.id, "sae"), { device: model.device });
      const row = whole.result.rows.find(
        (one) =>
          one.architecture === sae.architecture &&
          one.seed === sae.seed &&
          one.k === sae.k &&
          one.sparsity === sae.sparsity,
      )!;
      const metrics = await evaluateSae(own, store);
      expect([row.l0, row.fvu, row.dense]).toEqual([
        metrics.l0,
        metrics.fvu,
        metrics.denseFraction,
      ]);
      const { delta } = await spliceLoss(model, own, contexts, { mask: store.manifest.mask });
      // Sums of some 100 losses of about 5 in another order, in f64.
      expect(Math.abs(row.deltaLoss - delta)).toBeLessThan(1e-12);
      expect(delta).not.toBe(0);
    }
  });

  it("does nothing again, and says that all is done", async () => {
    const again = await runComparison(options("whole"));
    expect(again).toEqual({ result: whole.result, ran: 0, skipped: jobs });
    const stages = await comparisonStatus(comparison, join(root, "whole"));
    expect(stages.every(({ done, total }) => done === total)).toBe(true);
    expect(stages.reduce((sum, { total }) => sum + total, 0)).toBe(jobs);
  });

  it("refuses a folder of other inputs before it does anything", async () => {
    const other = {
      ...options("whole"),
      comparison: smallComparison({ ...twoArchitectures, presentations: 2048 }),
    };
    await expect(runComparison(other)).rejects.toMatchObject({ code: "SUITE_JOB_DIFFERS" });
    const text = { ...options("whole"), documents: smallDocuments("other words") };
    await expect(runComparison(text)).rejects.toMatchObject({ code: "SUITE_JOB_DIFFERS" });
  });

  it.each([
    [{ layer: 2 }, "SUITE_LAYER"],
    [{ contextSize: 17 }, "SUITE_CONTEXT"],
  ])("refuses what the model does not have, case %#", async (changes, code) => {
    const bad = { ...options("bad"), comparison: smallComparison(changes) };
    await expect(runComparison(bad)).rejects.toMatchObject({ code });
    expect(existsSync(join(root, "bad"))).toBe(false);
  });
});

describe("a comparison that was stopped", () => {
  async function expectSame(out: string): Promise<void> {
    const stages = await comparisonStatus(comparison, join(root, out));
    const done = stages.reduce((sum, stage) => sum + stage.done, 0);
    expect(done).toBeLessThan(jobs);
    const resumed = await runComparison(options(out));
    expect(resumed.skipped).toBe(done);
    expect(resumed.ran).toBe(jobs - done);
    expect(await filesOf(join(root, out))).toEqual(await filesOf(join(root, "whole")));
  }

  it.each([
    ["harvest: harvest", 1],
    ["tune, seed 7, 8 SAEs: ", 2],
    ["train, seed 2, 4 SAEs: ", 3],
    [": splice", 2],
  ])("in %s goes on, and ends with the same bytes", async (stage, times) => {
    const out = `stopped-${stage.replaceAll(/\W/g, "-")}`;
    const controller = new AbortController();
    let seen = 0;
    const stopped = runComparison({
      ...options(out),
      signal: controller.signal,
      onProgress: (event) => {
        expect(event.stage).toMatch(/^\d+\/25 jobs done, /);
        if (event.stage.includes(stage) && ++seen === times) controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(AbortedError);
    await expectSame(out);
  });

  it("by a kill goes on, and ends with the same bytes", async () => {
    const child = fileURLToPath(new URL("../../testing/comparison-child.ts", import.meta.url));
    const running = spawn(
      process.execPath,
      ["--conditions=@latentkit/source", "--import", "tsx", child, join(root, "killed")],
      { stdio: "ignore" },
    );
    const exited = once(running, "exit");
    // In the midst of the first seed: learning rates are chosen.
    while (!existsSync(join(root, "killed/compare.json")) && running.exitCode === null)
      await sleep(5);
    running.kill("SIGKILL");
    await exited;
    await expectSame("killed");
  }, 120_000);

  it("with a damaged shard harvests again", async () => {
    await runComparison(options("damaged"));
    const factors = new Map(whole.result.choices.map((one) => [one.architecture, one.factor]));
    const [first] = runsOf(comparison, factors);
    await rm(join(root, "damaged/jobs/evaluate", first!.id), { recursive: true });
    const shards = await readdir(join(root, "damaged/activations"));
    const shard = join(
      root,
      "damaged/activations",
      shards.find((name) => name.endsWith(".safetensors"))!,
    );
    for (const name of shards.filter((one) => one.endsWith(".safetensors"))) {
      const path = join(root, "damaged/activations", name);
      const bytes = await readFile(path);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 0xff;
      await writeFile(path, bytes);
    }
    expect(existsSync(shard)).toBe(true);
    const mended = await runComparison(options("damaged"));
    expect(mended.result).toEqual(whole.result);
    expect(mended.ran).toBe(2);
  });
});

describe("an SAE that diverges", () => {
  it("is left out and listed, and the others are compared", async () => {
    const wild = smallComparison({
      architectures: [
        { name: "JumpReLU", recipe: "short-run", sparsity: [0.001, 0.1] },
        { name: "ReLU", recipe: "standard", sparsity: [0.01, 1e300] },
      ],
      seeds: [1],
      tuning: { seeds: [7], factors: [1], l0: 6 },
    });
    const { result } = await runComparison({ ...options("wild"), comparison: wild });
    expect(result.failed).toEqual([
      { id: expect.stringContaining("ReLU-sparsity_1e"), code: "TRAIN_DIVERGED" },
    ]);
    expect(result.rows).toHaveLength(3);
    expect(result.differences[0]!.seeds).toEqual([]);
  });
});
