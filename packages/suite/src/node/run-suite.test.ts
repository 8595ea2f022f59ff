import { AbortedError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { evaluateSae, saeFromGemmaScopeNpz, spliceLoss, storeContexts } from "@latentkit/sae";
import { openActivations } from "@latentkit/activations/node";
import { loadHistory, loadSae } from "@latentkit/sae/node";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseSuiteMetrics } from "../metrics.ts";
import { planSuite } from "../plan.ts";
import { filesOf } from "../testing/files-of.ts";
import { onePlace, smallDocuments, smallModel, smallSuite } from "../testing/small-suite.ts";
import { runSuite, type SuiteRun } from "./run-suite.ts";

let root: string;
let model: LanguageModel;
let whole: SuiteRun;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "latentkit-suite-"));
  model = smallModel();
  whole = await runSuite({ ...options("whole"), suite: smallSuite({ keepActivations: true }) });
}, 180_000);
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const options = (out: string) => ({
  suite: smallSuite(),
  model,
  documents: smallDocuments(),
  out: join(root, out),
});

describe("a whole suite", () => {
  it("runs every job and leaves every SAE with its metrics", async () => {
    expect(whole.ran).toHaveLength(whole.plan.jobs.length);
    expect(whole.skipped).toEqual([]);
    const { rows, planned } = whole.metrics;
    expect(rows.map(({ id }) => id)).toEqual(whole.plan.saes.map(({ id }) => id));
    expect(planned).toBe(13);
    expect(new Set(rows.map(({ path }) => path)).size).toBe(13);
    const written: unknown = JSON.parse(await readFile(join(root, "whole/metrics.json"), "utf8"));
    expect(parseSuiteMetrics(written)).toEqual(whole.metrics);
    const table = await readFile(join(root, "whole/metrics.md"), "utf8");
    for (const { path } of rows) expect(table).toContain(path);
    const page = await readFile(join(root, "whole/report.html"), "utf8");
    for (const { path } of rows) expect(page).toContain(path);
    expect(new Set(rows.map(({ path }) => path.split("/")[0]))).toEqual(
      new Set(["small-res", "small-mlp", "small-att", "small-res-topk"]),
    );
    // The concatenated heads are 2 x 4 wide, the other sites 12.
    for (const { site, dIn } of rows) expect(dIn).toBe(site === "att" ? 8 : 12);
    const topk = rows.find(({ architecture }) => architecture === "topk");
    expect(topk?.l0).toBeCloseTo(3, 1);
    for (const [index, row] of rows.entries()) {
      expect(row.path).toMatch(new RegExp(`average_l0_${Math.round(row.l0)}(_\\d)?$`));
      const { counts, dead } = row.densities;
      expect(counts.reduce((sum, count) => sum + count, dead)).toBe(24);
      expect(row.dead).toBeCloseTo(dead / 24);
      // The stronger of two sparsities has fewer active latents.
      if (row.sparsity === 0.1) expect(row.l0).toBeLessThan(rows[index - 1]!.l0);
    }
  });

  it.each(["res", "att"] as const)(
    "says of %s what a measurement of its own says",
    async (site) => {
      const row = whole.metrics.rows.find((one) => one.site === site && one.layer === 1)!;
      using sae = await loadSae(join(root, "whole", row.path), { device: model.device });
      expect(await sae.identity()).toBe(row.identity);
      expect((await loadHistory(join(root, "whole", row.path)))?.presentations).toBe(2048);
      const store = await openActivations(join(root, `whole/activations/${site}/layer_1`));
      const metrics = await evaluateSae(sae, store);
      expect(metrics.l0).toBe(row.l0);
      expect(metrics.fvu).toBe(row.fvu);
      expect(metrics.fvuInterval).toEqual(row.fvuInterval);
      const splice = await spliceLoss(model, sae, await storeContexts(store, { limit: 8 }), {
        mask: store.manifest.mask,
      });
      expect(splice.delta).toBe(row.deltaLoss);
      expect(splice.recovered).toBe(row.lossRecovered);
      expect(splice.site).toBe(row.hookName);
      // Zeros there change the logits: the site was really edited.
      expect(splice.ablatedLoss).not.toBe(splice.cleanLoss);
    },
  );

  it("exports JumpReLU SAEs for Gemma Scope's readers too, and TopK ones not", async () => {
    for (const { path, architecture, hookName } of whole.metrics.rows) {
      const folder = join(root, "whole", path);
      const file = join(folder, "params.npz");
      expect(existsSync(file), path).toBe(architecture === "jumprelu");
      if (architecture !== "jumprelu") continue;
      const bytes = new Uint8Array(await readFile(file));
      using back = await saeFromGemmaScopeNpz(bytes, { device: model.device, where: file });
      using sae = await loadSae(folder, { device: model.device });
      expect(sae.config.metadata.hookName).toBe(hookName);
      // Exports need no folding, so that nothing may be rounded either.
      expect(await back.weights()).toEqual(await sae.weights());
    }
  });

  it("removes activations unless they are to be kept, and is otherwise the same", async () => {
    const { metrics } = await runSuite(options("removed"));
    expect(metrics).toEqual(whole.metrics);
    expect(existsSync(join(root, "removed/activations/res/layer_0"))).toBe(false);
    expect(await filesOf(join(root, "removed"))).toEqual(await filesOf(join(root, "whole")));
  });

  it("tidies up after a kill between a job's record and the end of the job", async () => {
    const before = await filesOf(join(root, "whole"));
    const job = whole.plan.jobs.find(({ kind }) => kind === "export")!;
    const path = join(root, "whole/jobs", job.id, "started.json");
    await writeFile(path, "{}");
    expect((await runSuite(options("whole"))).ran).toEqual([]);
    expect(await filesOf(join(root, "whole"))).toEqual(before);
  });

  it("does nothing again, not even the harvests whose activations are gone", async () => {
    const before = await stat(join(root, "whole", whole.metrics.rows[0]!.path, "cfg.json"));
    await rm(join(root, "whole/activations"), { recursive: true });
    const again = await runSuite(options("whole"));
    expect(again.ran).toEqual([]);
    expect(again.skipped.toSorted()).toEqual(whole.plan.jobs.map(({ id }) => id).toSorted());
    expect(again.metrics).toEqual(whole.metrics);
    const after = await stat(join(root, "whole", whole.metrics.rows[0]!.path, "cfg.json"));
    expect(after.mtimeMs).toBe(before.mtimeMs);
  });
});

describe("a suite that was stopped", () => {
  const small = (out: string) => ({ ...options(out), suite: smallSuite(onePlace) });
  const jobs = 1 + 3 * 3;

  /** Goes on, and compares with a run without a stop; what was finished must not be done again. */
  async function expectSame(out: string): Promise<void> {
    const finished = [...(await filesOf(join(root, out))).keys()]
      .filter((path) => path.endsWith("job.json"))
      .map((path) => path.slice("jobs/".length, -"/job.json".length));
    const resumed = await runSuite(small(out));
    for (const id of finished) expect(resumed.skipped).toContain(id);
    expect(resumed.ran.length + finished.length).toBe(jobs);
    expect(await filesOf(join(root, out))).toEqual(await filesOf(join(root, "place")));
  }

  beforeAll(async () => {
    await runSuite(small("place"));
  }, 180_000);

  it.each([
    ["harvest", 1],
    ["train-sae", 10],
    ["evaluate-sae", 2],
    ["splice", 3],
  ])("in %s goes on, and ends with the same bytes", async (stage, times) => {
    const out = `stopped-${stage}`;
    const controller = new AbortController();
    let seen = 0;
    const stopped = runSuite({
      ...small(out),
      signal: controller.signal,
      onProgress: (event) => {
        if (event.stage.endsWith(`: ${stage}`) && ++seen === times) controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(AbortedError);
    await expectSame(out);
  });

  it("by a kill goes on, and ends with the same bytes", async () => {
    const out = "killed";
    const child = fileURLToPath(new URL("../testing/suite-child.ts", import.meta.url));
    const running = spawn(
      process.execPath,
      ["--conditions=@latentkit/source", "--import", "tsx", child, join(root, out)],
      { stdio: "ignore" },
    );
    // Somewhere after the first SAE.
    const [first] = planSuite(smallSuite(onePlace), model.config).saes;
    while (!existsSync(join(root, out, "jobs", first!.id, "export/job.json"))) {
      expect(running.exitCode).toBeNull();
      await sleep(5);
    }
    running.kill("SIGKILL");
    await once(running, "exit");
    await expectSame(out);
  }, 180_000);

  it("makes a shard anew that training finds damaged, and ends with the same bytes", async () => {
    const suite = smallSuite({ ...onePlace, keepActivations: true });
    const place = { ...small("damaged"), suite };
    await runSuite(place);
    const folder = join(root, "damaged/activations/res/layer_1");
    const bytes = await readFile(join(folder, "train-00000.safetensors"));
    bytes[bytes.length - 9] = (bytes.at(-9) ?? 0) ^ 1;
    await writeFile(join(folder, "train-00000.safetensors"), bytes);
    const [first, second] = planSuite(suite, model.config).saes;
    for (const sae of [first!, second!])
      await rm(join(root, "damaged/jobs", sae.id, "train/job.json"));
    const { ran } = await runSuite(place);
    expect(ran).toEqual(["res/layer_1/harvest", `${first!.id}/train`, `${second!.id}/train`]);
    expect(await filesOf(join(root, "damaged"))).toEqual(await filesOf(join(root, "place")));
  });

  it("does a job again whose files were damaged, and none beside it but what it reads", async () => {
    const row = whole.metrics.rows[2]!;
    await writeFile(join(root, "removed/jobs", row.id, "train/sae/cfg.json"), "{}");
    const { ran } = await runSuite(options("removed"));
    expect(ran).toEqual([`${row.site}/layer_${row.layer}/harvest`, `${row.id}/train`]);
    expect(await filesOf(join(root, "removed"))).toEqual(await filesOf(join(root, "whole")));
  });
});

describe("one run of the model", () => {
  /** Runs a suite of two places in groups that a number of gigabytes allows, and counts the runs of the model while harvesting. */
  async function runsOf(out: string, changes: Readonly<Record<string, unknown>>): Promise<number> {
    let [harvesting, runs] = [false, 0];
    const counting = new Proxy(model, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          if (name === "run" && harvesting) runs += 1;
          return Reflect.apply(value, target, args);
        };
      },
    });
    const entry = { recipe: "short-run", width: 24, presentations: 1024, batchSize: 128 };
    const entries = [{ ...entry, sparsity: [0.01] }];
    const suite = smallSuite({ layers: [1], entries, spliceContexts: 2, ...changes });
    await runSuite({
      ...options(out),
      suite,
      model: counting,
      onProgress: ({ stage }) => {
        harvesting = stage.endsWith(": harvest") || stage.endsWith(": calibrate mask");
      },
    });
    return runs;
  }

  it("serves all places that fit on the disk together, which changes no result", async () => {
    const together = await runsOf("together", {});
    const apart = await runsOf("apart", { activationGigabytes: 1e-9 });
    expect(together).toBeGreaterThan(0);
    expect(apart).toBeGreaterThan(2 * together);
    expect(await filesOf(join(root, "apart"))).toEqual(await filesOf(join(root, "together")));
  }, 180_000);
});

describe("an SAE that diverges", () => {
  it("is reported, and the others are done; a further call tries it again", async () => {
    const entry = { recipe: "short-run", width: 24, presentations: 2048, batchSize: 128 };
    const entries = [{ ...entry, sparsity: [1e308, 0.1] }];
    const suite = smallSuite({ ...onePlace, entries });
    const bad = planSuite(suite, model.config).saes[0]!;
    for (let call = 0; call < 2; call++) {
      const { failed, metrics } = await runSuite({ ...options("diverged"), suite });
      expect(failed).toEqual([
        { id: bad.id, error: expect.objectContaining({ code: "TRAIN_DIVERGED" }) },
      ]);
      expect(metrics.rows.map(({ sparsity }) => sparsity)).toEqual([0.1]);
    }
    const page = await readFile(join(root, "diverged/report.html"), "utf8");
    expect(page).toContain("1 of 2 are missing");
  });
});

describe("a suite of other inputs", () => {
  it("refuses another model, text or setting, and says which", async () => {
    const differs = (message: RegExp) =>
      expect.objectContaining({
        code: "SUITE_JOB_DIFFERS",
        message: expect.stringMatching(message),
      });
    const files = await filesOf(join(root, "whole"));
    await expect(runSuite({ ...options("whole"), model: smallModel(4) })).rejects.toThrow(
      differs(/res\/layer_0\/harvest was done from other inputs: model\.weightsHash was/),
    );
    await expect(
      runSuite({ ...options("whole"), documents: smallDocuments("other words") }),
    ).rejects.toThrow(differs(/text was "numbered words" and is "other words"/));
    await expect(
      runSuite({ ...options("whole"), suite: smallSuite({ heldOut: 0.5 }) }),
    ).rejects.toThrow(differs(/harvest\.heldOut was 0\.25 and is 0\.5/));
    await expect(
      runSuite({ ...options("whole"), suite: smallSuite({ spliceContexts: 4 }) }),
    ).rejects.toThrow(differs(/evaluation\.spliceContexts was 8 and is 4/));
    expect(await filesOf(join(root, "whole"))).toEqual(files);
  });

  it("refuses to go on with a job that was begun from other inputs", async () => {
    const controller = new AbortController();
    const onProgress = ({ stage }: { readonly stage: string }) => {
      if (stage.endsWith("train-sae")) controller.abort();
    };
    const stopped = runSuite({ ...options("begun"), signal: controller.signal, onProgress });
    await expect(stopped).rejects.toThrow(AbortedError);
    const id = planSuite(smallSuite(), model.config).saes[0]!.id;
    await rm(join(root, "begun/jobs/res/layer_0/harvest"), { recursive: true });
    await expect(runSuite({ ...options("begun"), model: smallModel(4) })).rejects.toThrow(
      expect.objectContaining({ message: expect.stringContaining(`${id}/train was begun`) }),
    );
  });

  it("does only what changed again where that is asked for", async () => {
    const place = { ...options("redone"), suite: smallSuite(onePlace) };
    const first = await runSuite(place);
    const files = await filesOf(join(root, "redone"));
    const suite = smallSuite({ ...onePlace, spliceContexts: 4 });
    const redone = await runSuite({ ...place, suite, redo: true });
    expect(redone.ran.filter((id) => id.endsWith("/train"))).toEqual([]);
    expect(redone.ran.filter((id) => id.endsWith("/evaluate"))).toHaveLength(3);
    const back = await runSuite({ ...place, redo: true });
    expect(back.metrics).toEqual(first.metrics);
    expect(await filesOf(join(root, "redone"))).toEqual(files);
  });

  it("notices text that changed under the same name", async () => {
    const { id } = whole.metrics.rows[0]!;
    await rm(join(root, "whole/jobs", id, "train/job.json"));
    const documents = smallDocuments();
    const changed = {
      identity: documents.identity,
      open: () => [...(documents.open() as Iterable<{ id: string; text: string }>)].slice(1),
    };
    await expect(runSuite({ ...options("whole"), documents: changed })).rejects.toThrow(
      expect.objectContaining({ code: "SUITE_HARVEST_DIFFERS" }),
    );
  });
});
