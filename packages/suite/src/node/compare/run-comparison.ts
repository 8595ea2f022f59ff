import type { ActivationStore } from "@latentkit/activations";
import { type LongCallOptions, throwIfAborted } from "@latentkit/core";
import { readJson, writeFileAtomic } from "@latentkit/loaders/node";
import type { LanguageModel } from "@latentkit/models";
import { evaluateSae, storeContexts } from "@latentkit/sae";
import { loadSae, saveSae } from "@latentkit/sae/node";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { SuiteDocuments } from "../../documents.ts";
import type { JobFolder } from "../job-record.ts";
import { jsonText } from "../json.ts";
import {
  removeCheckpoints,
  type SaeTask,
  type TrainTogetherOptions,
  trainTogether,
} from "../train-together.ts";
import { type Choice, chooseRates, type Trial } from "../../compare/choose.ts";
import { compareRows } from "../../compare/compare-rows.ts";
import type { Comparison } from "../../compare/config.ts";
import { comparisonMarkdown } from "../../compare/markdown.ts";
import { renderComparison } from "../../compare/page.ts";
import {
  checkComparison,
  type ComparedSae,
  runsOf,
  siteOf,
  trainingOf,
  trialsOf,
} from "../../compare/plan.ts";
import {
  type ComparedRow,
  comparedRowSchema,
  type ComparisonResult,
} from "../../compare/result.ts";
import { type CompareJobKind, CompareJobs } from "./compare-jobs.ts";
import { HarvestedSite } from "./harvested-site.ts";
import { SplicedLosses } from "./spliced-losses.ts";

/** What {@link runComparison} needs. */
export interface RunComparisonOptions extends LongCallOptions {
  readonly comparison: Comparison;
  /** With a tokenizer; its device trains the SAEs. */
  readonly model: LanguageModel;
  readonly documents: SuiteDocuments;
  /** Folder for everything; made if there is none. */
  readonly out: string;
  /** Do jobs again that the folder has from other inputs, in place of refusing. False by default. */
  readonly redo?: boolean | undefined;
}

/** What {@link runComparison} did. */
export interface ComparisonRun {
  readonly result: ComparisonResult;
  /** Jobs that ran now, and that were done before. */
  readonly ran: number;
  readonly skipped: number;
}

/** An SAE of the comparison to train. */
interface CompareTask extends SaeTask {
  readonly sae: ComparedSae;
}

/** What a trial leaves; null figures where its training was given up. */
const trialSchema = z.object({
  measured: z.object({ l0: z.number(), fvu: z.number() }).nullable(),
});

/**
 * Compares architectures of SAEs at equal L0: harvests the site, tunes each architecture's learning rate by the same trials on seeds of
 * their own, trains all architectures, sparsities and seeds on equal budgets, measures them, and writes `compare.json`, `compare.md` and
 * `compare.html` to `out`, anew after each seed.
 *
 * Every trial, training and evaluation is a job. Those that an earlier call finished are skipped; SAEs of a seed are trained together, and
 * one that was stopped, or killed, goes on from its checkpoint with the same bytes. An SAE that diverges is left out and listed in `failed`.
 *
 * @throws ConfigError `SUITE_LAYER`, `SUITE_CONTEXT` before anything is done
 * @throws MismatchError `SUITE_JOB_DIFFERS` where the folder has results of another model, text or configuration
 * @throws AbortedError `ABORTED`; and what harvesting, training and evaluation throw
 *
 * @example
 * const { result } = await runComparison({ comparison, model, documents, out: "./compare" });
 */
export async function runComparison(options: RunComparisonOptions): Promise<ComparisonRun> {
  checkComparison(options.comparison, options.model.config);
  return new Run(options).run();
}

class Run {
  readonly #options: RunComparisonOptions;
  readonly #jobs: CompareJobs;
  readonly #site: HarvestedSite;
  readonly #total: number;
  readonly #trials: readonly ComparedSae[];
  readonly #failed: { id: string; code: string }[] = [];
  readonly #ran = new Set<string>();
  readonly #skipped = new Set<string>();
  #losses: SplicedLosses | null = null;

  constructor(options: RunComparisonOptions) {
    const { comparison, model, documents, out } = options;
    this.#options = options;
    this.#jobs = new CompareJobs(comparison, model, documents, out);
    const { signal } = options;
    this.#site = new HarvestedSite(
      { comparison, model, documents, out, signal, onProgress: this.#progress("harvest") },
      this.#jobs.harvest(),
    );
    this.#trials = trialsOf(comparison);
    this.#total = 1 + this.#trials.length + 2 * runsOf(comparison, new Map()).length;
  }

  async run(): Promise<ComparisonRun> {
    const { comparison, out } = this.#options;
    await mkdir(out, { recursive: true });
    // What differs is found before anything works for hours.
    await this.#site.clearOther(this.#options.redo ?? false);
    for (const trial of this.#trials) await this.#clear(this.#jobs.of("tune", trial));
    // Also where nothing needs them any more: what the folder says of them is part of the result.
    await this.#site.use(async () => undefined);
    for (const seed of comparison.tuning.seeds)
      await this.#site.use((store) => this.#tune(ofSeed(this.#trials, seed), store));
    const choices = chooseRates(comparison, await this.#readTrials());
    const factors = new Map(choices.map(({ architecture, factor }) => [architecture, factor]));
    const runs = runsOf(comparison, factors);
    for (const sae of runs)
      for (const kind of ["train", "evaluate"] as const)
        await this.#clear(this.#jobs.of(kind, sae));
    const rows: ComparedRow[] = [];
    let result = await this.#write(choices, runs.length, rows);
    for (const seed of comparison.seeds) {
      const own = ofSeed(runs, seed);
      await this.#site.use((store) => this.#train(own, store));
      await this.#site.use((store) => this.#evaluate(own, store));
      rows.push(...(await this.#readRows(own)));
      result = await this.#write(choices, runs.length, rows);
    }
    const [ran, skipped] = this.#counts();
    return { result, ran, skipped };
  }

  async #clear(folder: JobFolder): Promise<void> {
    await folder.clearOther(this.#options.redo ?? false);
  }

  /** The tasks that are not done, begun. */
  async #open(kind: CompareJobKind, saes: readonly ComparedSae[]): Promise<CompareTask[]> {
    const { comparison } = this.#options;
    const tasks: CompareTask[] = [];
    for (const sae of saes) {
      const folder = this.#jobs.of(kind, sae);
      if ((await folder.finished()) === null)
        tasks.push({ id: sae.id, config: trainingOf(comparison, sae), sae, folder });
      else if (!this.#ran.has(folder.name)) this.#skipped.add(folder.name);
    }
    for (const { folder } of tasks) await folder.begin();
    return tasks;
  }

  async #tune(trials: readonly ComparedSae[], store: ActivationStore): Promise<void> {
    const tasks = await this.#open("tune", trials);
    if (tasks.length === 0) return;
    const title = `tune, seed ${tasks[0]?.sae.seed ?? 0}, ${tasks.length} SAEs`;
    for await (const end of trainTogether(tasks, await this.#training(title, store))) {
      const { folder } = end.task;
      let measured: Trial["measured"] = null;
      if ("sae" in end) {
        end.sae[Symbol.dispose]();
        const last = end.history.points.at(-1);
        if (last !== undefined) measured = { l0: last.heldOutL0, fvu: last.heldOutFvu };
      } else if (end.error.code !== "TRAIN_DIVERGED") throw end.error;
      await writeFileAtomic(join(folder.path, "trial.json"), jsonText({ measured }));
      await folder.finish([`${folder.name}/trial.json`]);
      await removeCheckpoints(folder);
      this.#ran.add(folder.name);
    }
  }

  async #readTrials(): Promise<Trial[]> {
    const trials: Trial[] = [];
    for (const trial of this.#trials) {
      const path = join(this.#jobs.of("tune", trial).path, "trial.json");
      const { architecture, factor, seed } = trial;
      trials.push({ architecture, factor, seed, ...(await readJson(path, trialSchema)) });
    }
    return trials;
  }

  async #train(saes: readonly ComparedSae[], store: ActivationStore): Promise<void> {
    const tasks = await this.#open("train", saes);
    if (tasks.length === 0) return;
    const title = `train, seed ${tasks[0]?.sae.seed ?? 0}, ${tasks.length} SAEs`;
    for await (const end of trainTogether(tasks, await this.#training(title, store))) {
      const { sae, folder } = end.task;
      if ("error" in end) {
        this.#failed.push({ id: sae.id, code: end.error.code });
        continue;
      }
      using trained = end.sae;
      const { signal } = this.#options;
      await saveSae(trained, join(folder.path, "sae"), { history: end.history, signal });
      const files = await readdir(join(folder.path, "sae"));
      await folder.finish(files.map((file) => `${folder.name}/sae/${file}`));
      await removeCheckpoints(folder);
      this.#ran.add(folder.name);
    }
  }

  async #evaluate(saes: readonly ComparedSae[], store: ActivationStore): Promise<void> {
    const trained = saes.filter(({ id }) => !this.#failed.some((failed) => failed.id === id));
    for (const { sae, folder } of await this.#open("evaluate", trained)) {
      const { comparison, model, signal } = this.#options;
      throwIfAborted(signal, "finished jobs are kept");
      const onProgress = this.#progress(`evaluate ${sae.id}`);
      const losses = await this.#spliced(store, `evaluate ${sae.id}`);
      using own = await loadSae(join(this.#jobs.of("train", sae).path, "sae"), {
        device: model.device,
        signal,
      });
      const metrics = await evaluateSae(own, store, { resamples: 0, signal, onProgress });
      const { architecture, seed, sparsity, k } = sae;
      const row: ComparedRow = {
        architecture,
        seed,
        sparsity,
        k,
        learningRate: trainingOf(comparison, sae).learningRate,
        l0: metrics.l0,
        fvu: metrics.fvu,
        deltaLoss: await losses.deltaOf(own, { signal, onProgress }),
        dense: metrics.denseFraction,
        dead: metrics.deadFraction,
      };
      await writeFileAtomic(join(folder.path, "row.json"), jsonText(row));
      await folder.finish([`${folder.name}/row.json`]);
      this.#ran.add(folder.name);
    }
  }

  async #readRows(saes: readonly ComparedSae[]): Promise<ComparedRow[]> {
    const rows: ComparedRow[] = [];
    for (const sae of saes) {
      if (this.#failed.some(({ id }) => id === sae.id)) continue;
      const path = join(this.#jobs.of("evaluate", sae).path, "row.json");
      rows.push(await readJson(path, comparedRowSchema));
    }
    return rows;
  }

  /** The model's own losses, computed once. */
  async #spliced(store: ActivationStore, stage: string): Promise<SplicedLosses> {
    const { comparison, model, signal } = this.#options;
    this.#losses ??= await SplicedLosses.open(
      model,
      await storeContexts(store, { limit: comparison.spliceContexts, signal }),
      {
        site: store.manifest.site,
        mask: store.manifest.mask,
        batchSize: comparison.contextsPerRun,
        signal,
        onProgress: this.#progress(stage),
      },
    );
    return this.#losses;
  }

  async #write(
    choices: readonly Choice[],
    planned: number,
    rows: readonly ComparedRow[],
  ): Promise<ComparisonResult> {
    const { comparison, model, out } = this.#options;
    const { name, architecture, weightsHash } = model.identity();
    const result: ComparisonResult = {
      schemaVersion: 1,
      name: comparison.name,
      model: { name, architecture, weightsHash },
      site: siteOf(comparison),
      width: comparison.width,
      presentations: comparison.presentations,
      subject: comparison.subject,
      planned,
      failed: this.#failed,
      choices,
      ...compareRows(comparison, rows),
      rows,
    };
    await writeFileAtomic(join(out, "compare.json"), jsonText(result));
    await writeFileAtomic(join(out, "compare.md"), comparisonMarkdown(result));
    await writeFileAtomic(join(out, "compare.html"), renderComparison(result));
    return result;
  }

  async #training(stage: string, store: ActivationStore): Promise<TrainTogetherOptions> {
    const { model, signal } = this.#options;
    const heldOut = await this.#site.followed(store);
    return { model, store, heldOut, signal, onProgress: this.#progress(stage) };
  }

  /** Jobs that ran now, and that were done before. */
  #counts(): [ran: number, skipped: number] {
    const { state } = this.#site;
    return [
      this.#ran.size + (state === "ran" ? 1 : 0),
      this.#skipped.size + (state === "skipped" ? 1 : 0),
    ];
  }

  /** Progress of one job or group of them, with how many jobs of all are done. */
  #progress(stage: string): NonNullable<LongCallOptions["onProgress"]> {
    const { onProgress } = this.#options;
    return (event) =>
      onProgress?.({
        ...event,
        stage: `${this.#counts().reduce((sum, count) => sum + count)}/${this.#total} jobs done, ${stage}: ${event.stage}`,
      });
  }
}

function ofSeed(saes: readonly ComparedSae[], seed: number): ComparedSae[] {
  return saes.filter((sae) => sae.seed === seed);
}
