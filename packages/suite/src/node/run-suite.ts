import type { ActivationStore } from "@latentkit/activations";
import { openActivations } from "@latentkit/activations/node";
import {
  internalFault,
  LatentkitError,
  type LongCallOptions,
  MismatchError,
  throwIfAborted,
} from "@latentkit/core";
import { readJson, writeFileAtomic } from "@latentkit/loaders/node";
import type { LanguageModel } from "@latentkit/models";
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SuiteDocuments } from "../documents.ts";
import { metricsMarkdown } from "../metrics-table.ts";
import { type SuiteMetrics, type SuiteRow, suiteRowSchema } from "../metrics.ts";
import { folderOf, planSuite, type SuiteJob, type SuitePlan } from "../plan.ts";
import type { Suite } from "../suite.ts";
import { inputsOf } from "./inputs.ts";
import { JobFolder } from "./job-record.ts";
import {
  type JobContext,
  rowFile,
  runEvaluation,
  runExport,
  runHarvest,
  runTraining,
} from "./jobs.ts";
import { jsonText } from "./json.ts";

/** What {@link runSuite} needs. */
export interface RunSuiteOptions extends LongCallOptions {
  readonly suite: Suite;
  /** With a tokenizer; its device trains the SAEs. */
  readonly model: LanguageModel;
  readonly documents: SuiteDocuments;
  /** Folder for everything; made if there is none. */
  readonly out: string;
  /** Do jobs again that the folder has from other inputs, in place of refusing. False by default. */
  readonly redo?: boolean | undefined;
}

/** What {@link runSuite} did. */
export interface SuiteRun {
  readonly plan: SuitePlan;
  readonly metrics: SuiteMetrics;
  /** Ids of jobs that ran now. */
  readonly ran: readonly string[];
  /** Ids of jobs that were done before. */
  readonly skipped: readonly string[];
}

/**
 * Trains, measures and exports the SAEs of a suite, a job after another. Jobs that an earlier call finished are skipped; one that
 * was stopped goes on where it was, and the files are the same bytes as without the stop. A layer's activations are removed once
 * its SAEs are done, unless the suite keeps them.
 *
 * In `out`: `NAME-SITE/layer_L/width_W/average_l0_N/` for each SAE, `metrics.json`, `metrics.md`, `jobs/ID/job.json`.
 *
 * @throws ConfigError `SUITE_LAYER`, `SUITE_CONTEXT`, `SUITE_DUPLICATE` before anything is done
 * @throws MismatchError `SUITE_JOB_DIFFERS` where the folder has results of another model, text or configuration;
 *   `SUITE_HARVEST_DIFFERS` where the same settings gave other activations than before
 * @throws AbortedError `ABORTED`; and what harvesting, training and evaluation throw
 *
 * @example
 * const { metrics } = await runSuite({ suite, model, documents, out: "./suite" });
 */
export async function runSuite(options: RunSuiteOptions): Promise<SuiteRun> {
  const plan = planSuite(options.suite, options.model.config);
  return new Run(options, plan).run();
}

class Run {
  readonly #options: RunSuiteOptions;
  readonly #plan: SuitePlan;
  readonly #folders: ReadonlyMap<string, JobFolder>;
  readonly #ran: string[] = [];
  readonly #skipped: string[] = [];
  readonly #rows: SuiteRow[] = [];

  constructor(options: RunSuiteOptions, plan: SuitePlan) {
    this.#options = options;
    this.#plan = plan;
    const { suite, model, documents, out } = options;
    this.#folders = new Map(
      plan.jobs.map((job) => [
        job.id,
        new JobFolder(out, job.id, inputsOf(job, suite, model, documents)),
      ]),
    );
  }

  async run(): Promise<SuiteRun> {
    const { out, redo = false } = this.#options;
    await mkdir(out, { recursive: true });
    // All of them first: a suite that cannot go on says so before it works for hours.
    for (const job of this.#plan.jobs) {
      const cleared = await this.#folder(job.id).clearOther(redo);
      if (cleared && job.kind === "harvest") await this.#removeActivations(job);
    }
    for (const harvest of this.#plan.jobs) {
      if (harvest.kind !== "harvest") continue;
      const { site, layer } = harvest;
      await this.#runPlace(
        harvest,
        this.#plan.jobs.filter((job) => job.site === site && job.layer === layer),
      );
    }
    const metrics = await this.#writeMetrics();
    return { plan: this.#plan, metrics, ran: this.#ran, skipped: this.#skipped };
  }

  /** All jobs of a site in a layer. */
  async #runPlace(harvest: SuiteJob, jobs: readonly SuiteJob[]): Promise<void> {
    const done = new Set<string>();
    for (const job of jobs) if ((await this.#folder(job.id).finished()) !== null) done.add(job.id);
    const readsActivations = ({ kind }: SuiteJob): boolean =>
      kind === "train" || kind === "evaluate";
    const needed = jobs.some((job) => readsActivations(job) && !done.has(job.id));
    const store = needed ? await this.#activations(harvest, done) : null;
    if (store === null) this.#skipped.push(harvest.id);
    for (const job of jobs) {
      if (job.kind === "harvest") continue;
      if (done.has(job.id)) this.#skipped.push(job.id);
      else await this.#runJob(job, store);
      if (job.kind === "export") {
        const path = join(this.#folder(job.id).path, rowFile);
        this.#rows.push(await readJson(path, suiteRowSchema));
        if (!done.has(job.id)) await this.#writeMetrics();
      }
    }
    if (!this.#options.suite.keepActivations) await this.#removeActivations(harvest);
  }

  /** The activations of a place: as they are there, or harvested. */
  async #activations(harvest: SuiteJob, done: ReadonlySet<string>): Promise<ActivationStore> {
    const folder = this.#folder(harvest.id);
    const target = this.#activationsFolder(harvest);
    if (done.has(harvest.id)) {
      const there = await openActivations(target).catch((error: unknown) => {
        if (LatentkitError.isInstance(error)) return null;
        throw error;
      });
      if (there !== null) {
        this.#skipped.push(harvest.id);
        return there;
      }
    }
    const before = await folder.record();
    if (before === null) await folder.begin();
    const store = await runHarvest(this.#context(harvest), harvest, target);
    const copy = `${folder.name}/manifest.json`;
    const manifest = join(target, "manifest.json");
    const earlier =
      before === null ? null : await readFile(join(folder.path, "manifest.json")).catch(() => null);
    if (earlier !== null && !earlier.equals(await readFile(manifest))) {
      throw new MismatchError({
        code: "SUITE_HARVEST_DIFFERS",
        message: `${harvest.id} gave other activations than in the run before, although its inputs are the same`,
        fix: "finish the suite on the machine that began it, with the same text, or use a new --out folder",
        where: target,
      });
    }
    await copyFile(manifest, join(folder.path, "manifest.json"));
    await folder.finish([copy]);
    this.#ran.push(harvest.id);
    return store;
  }

  async #runJob(
    job: Exclude<SuiteJob, { kind: "harvest" }>,
    store: ActivationStore | null,
  ): Promise<void> {
    const { signal } = this.#options;
    throwIfAborted(signal, "finished jobs are kept");
    const folder = this.#folder(job.id);
    const folders = {
      train: this.#folder(`${job.sae.id}/train`),
      evaluate: this.#folder(`${job.sae.id}/evaluate`),
      export: this.#folder(`${job.sae.id}/export`),
    };
    const context = this.#context(job);
    await folder.begin();
    const work = (): Promise<string[]> => {
      if (job.kind === "export") {
        const taken = new Set(this.#rows.map(({ path }) => path));
        return runExport(context, job.sae, folders, taken);
      }
      if (store === null) throw internalFault(`${job.id} was begun without activations`);
      return job.kind === "train"
        ? runTraining(context, job.sae, store, folder)
        : runEvaluation(context, store, folders.train, folder);
    };
    await folder.finish(await work());
    this.#ran.push(job.id);
  }

  #context(job: SuiteJob): JobContext {
    const { suite, model, documents, out, signal, onProgress } = this.#options;
    const place = this.#plan.jobs.indexOf(job) + 1;
    return {
      suite,
      model,
      documents,
      out,
      signal,
      onProgress: (event) =>
        onProgress?.({
          ...event,
          stage: `${place}/${this.#plan.jobs.length} ${job.id}: ${event.stage}`,
        }),
    };
  }

  async #writeMetrics(): Promise<SuiteMetrics> {
    const { suite, model, out } = this.#options;
    const { name, architecture, weightsHash } = model.identity();
    const metrics: SuiteMetrics = {
      schemaVersion: 1,
      name: suite.name,
      model: { name, architecture, weightsHash },
      contextSize: suite.contextSize,
      planned: this.#plan.saes.length,
      rows: this.#rows,
    };
    await writeFileAtomic(join(out, "metrics.json"), jsonText(metrics));
    await writeFileAtomic(join(out, "metrics.md"), metricsMarkdown(metrics));
    return metrics;
  }

  #activationsFolder({ site, layer }: SuiteJob): string {
    return join(this.#options.out, "activations", ...folderOf(site, layer).split("/"));
  }

  async #removeActivations(job: SuiteJob): Promise<void> {
    await rm(this.#activationsFolder(job), { recursive: true, force: true });
  }

  #folder(id: string): JobFolder {
    const folder = this.#folders.get(id);
    if (folder === undefined) throw internalFault(`there is no job ${id}`);
    return folder;
  }
}
