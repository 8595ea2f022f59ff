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
import { renderSuite } from "@latentkit/report";
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SuiteDocuments } from "../documents.ts";
import { metricsMarkdown } from "../metrics-table.ts";
import { type SuiteMetrics, type SuiteRow, suiteRowSchema } from "../metrics.ts";
import { folderOf, type HarvestJob, planSuite, type SaeJob, type SuitePlan } from "../plan.ts";
import { type Suite, tokenLimit } from "../suite.ts";
import { inputsOf } from "./inputs.ts";
import { JobFolder } from "./job-record.ts";
import {
  type JobContext,
  rowFile,
  runEvaluation,
  runExport,
  runHarvests,
  runTrainings,
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
  /** SAEs whose training was given up, because it diverged for example; a further call tries them again. */
  readonly failed: readonly SuiteFailure[];
}

/** An SAE of a suite that could not be trained. */
export interface SuiteFailure {
  /** Of the SAE. */
  readonly id: string;
  readonly error: LatentkitError;
}

/** Memory for a shard of each place that is harvested at a time. */
const shardBytes = 2 ** 31;
/** What `harvest` puts into a shard, about. */
const shardTokens = 65_536;

/**
 * Trains, measures and exports the SAEs of a suite. Activations of several sites and layers come from one run of the model, and the
 * SAEs of a place are trained on one stream of them. Jobs that an earlier call finished are skipped; one that was stopped goes on where
 * it was, and the files are the same bytes as without the stop. An SAE that diverges is given up, and the others go on. A shard that is
 * found to be damaged is made anew. A layer's activations are removed once its SAEs are done, unless the suite keeps them.
 *
 * In `out`: `NAME-SITE/layer_L/width_W/average_l0_N/` for each SAE, `metrics.json`, `metrics.md`, `report.html`, `jobs/ID/job.json`.
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

/** A site of a layer with its jobs, and which of them are done. */
interface Place {
  readonly harvest: HarvestJob;
  readonly saes: readonly SaeJob[];
  readonly done: ReadonlySet<string>;
}

class Run {
  readonly #options: RunSuiteOptions;
  readonly #plan: SuitePlan;
  readonly #folders: ReadonlyMap<string, JobFolder>;
  readonly #ran = new Set<string>();
  readonly #skipped = new Set<string>();
  readonly #failed: SuiteFailure[] = [];
  readonly #rows: SuiteRow[] = [];
  /** Of the places that are harvested and not yet done. */
  readonly #stores = new Map<string, ActivationStore>();

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
    for (const group of this.#groups()) {
      const places: Place[] = [];
      for (const harvest of group) places.push(await this.#place(harvest));
      await this.#harvestNeeded(places);
      for (const place of places) await this.#runPlace(place);
    }
    const metrics = await this.#writeMetrics();
    await writeFileAtomic(join(out, "report.html"), renderSuite(metrics));
    const [ran, skipped] = [[...this.#ran], [...this.#skipped]];
    return { plan: this.#plan, metrics, ran, skipped, failed: this.#failed };
  }

  /** Harvests, in parts whose activations fit on the disk together, and one shard of each into memory. */
  #groups(): HarvestJob[][] {
    const { suite, model } = this.#options;
    const tokens = tokenLimit(suite);
    const groups: HarvestJob[][] = [];
    let [disk, memory] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (const job of this.#plan.jobs) {
      if (job.kind !== "harvest") continue;
      const row = 4 * model.site(job.hookName).width;
      const [ownDisk, ownMemory] = [row * (tokens ?? Number.POSITIVE_INFINITY), row * shardTokens];
      if (disk + ownDisk > 1e9 * suite.activationGigabytes || memory + ownMemory > shardBytes) {
        groups.push([]);
        [disk, memory] = [0, 0];
      }
      disk += ownDisk;
      memory += ownMemory;
      groups.at(-1)?.push(job);
    }
    return groups;
  }

  async #place(harvest: HarvestJob): Promise<Place> {
    const saes = this.#plan.jobs.filter(
      (job): job is SaeJob =>
        job.kind !== "harvest" && job.site === harvest.site && job.layer === harvest.layer,
    );
    const done = new Set<string>();
    for (const job of [harvest, ...saes])
      if ((await this.#folder(job.id).finished()) !== null) done.add(job.id);
    return { harvest, saes, done };
  }

  /** Opens the activations that jobs still need, and harvests those that are not there, all in one. */
  async #harvestNeeded(places: readonly Place[]): Promise<void> {
    const missing: HarvestJob[] = [];
    for (const { harvest, saes, done } of places) {
      const needed = saes.some(({ kind, id }) => kind !== "export" && !done.has(id));
      const there = needed && done.has(harvest.id) ? await this.#open(harvest) : null;
      if (there !== null) this.#stores.set(harvest.id, there);
      if (!needed || there !== null) this.#skipped.add(harvest.id);
      else missing.push(harvest);
    }
    if (missing.length > 0) await this.#harvest(missing);
  }

  /** The activations of a place as they are there; null where they are not. */
  async #open(harvest: HarvestJob): Promise<ActivationStore | null> {
    return openActivations(this.#activationsFolder(harvest)).catch((error: unknown) => {
      if (LatentkitError.isInstance(error)) return null;
      throw error;
    });
  }

  async #harvest(jobs: readonly HarvestJob[]): Promise<void> {
    for (const { id } of jobs) {
      const folder = this.#folder(id);
      if ((await folder.record()) === null) await folder.begin();
    }
    const tasks = jobs.map((job) => ({ job, folder: this.#activationsFolder(job) }));
    const [first] = jobs;
    if (first === undefined) return;
    const more = jobs.length === 1 ? "" : ` and ${jobs.length - 1} more`;
    const stores = await runHarvests(this.#context(first, more), tasks);
    for (const [index, { job, folder: target }] of tasks.entries()) {
      const store = stores[index];
      if (store === undefined) throw internalFault(`${job.id} was harvested without activations`);
      await this.#finishHarvest(job, target);
      this.#stores.set(job.id, store);
      this.#skipped.delete(job.id);
      this.#ran.add(job.id);
    }
  }

  async #finishHarvest({ id }: HarvestJob, target: string): Promise<void> {
    const folder = this.#folder(id);
    const copy = join(folder.path, "manifest.json");
    const manifest = join(target, "manifest.json");
    const earlier =
      (await folder.record()) === null ? null : await readFile(copy).catch(() => null);
    if (earlier !== null && !earlier.equals(await readFile(manifest))) {
      throw new MismatchError({
        code: "SUITE_HARVEST_DIFFERS",
        message: `${id} gave other activations than in the run before, although its inputs are the same`,
        fix: "finish the suite on the machine that began it, with the same text, or use a new --out folder",
        where: target,
      });
    }
    await copyFile(manifest, copy);
    await folder.finish([`${folder.name}/manifest.json`]);
  }

  /** All jobs of a site in a layer but its harvest. */
  async #runPlace({ harvest, saes, done }: Place): Promise<void> {
    for (const { id } of saes) if (done.has(id)) this.#skipped.add(id);
    const open = saes.filter(({ id }) => !done.has(id));
    const trainings = open.filter(({ kind }) => kind === "train");
    if (trainings.length > 0) {
      await this.#withStore(harvest, (store) => this.#train(harvest, trainings, store));
    }
    for (const job of saes) {
      if (job.kind === "train" || this.#failed.some(({ id }) => id === job.sae.id)) continue;
      if (!done.has(job.id)) await this.#measure(job, harvest);
      if (job.kind === "export") {
        const path = join(this.#folder(job.id).path, rowFile);
        this.#rows.push(await readJson(path, suiteRowSchema));
        if (!done.has(job.id)) await this.#writeMetrics();
      }
    }
    this.#stores.delete(harvest.id);
    if (!this.#options.suite.keepActivations) await this.#removeActivations(harvest);
  }

  /** Does what reads activations; where a shard turns out to be damaged or gone, harvests again and does it once more. */
  async #withStore(
    harvest: HarvestJob,
    work: (store: ActivationStore) => Promise<void>,
  ): Promise<void> {
    const store = this.#stores.get(harvest.id);
    if (store === undefined) throw internalFault(`${harvest.id} was not harvested`);
    try {
      await work(store);
    } catch (error) {
      const mendable =
        LatentkitError.isInstance(error) &&
        (error.code === "SHARD_CORRUPT" || error.code === "SHARD_MISSING");
      if (!mendable) throw error;
      await this.#harvest([harvest]);
      await work(this.#stores.get(harvest.id) ?? store);
    }
  }

  async #train(
    harvest: HarvestJob,
    jobs: readonly SaeJob[],
    store: ActivationStore,
  ): Promise<void> {
    throwIfAborted(this.#options.signal, "finished jobs are kept");
    const tasks = jobs
      .filter(({ id }) => !this.#ran.has(id))
      .map(({ id, sae: planned }) => ({ id, planned, folder: this.#folder(id) }));
    for (const { folder } of tasks) await folder.begin();
    for await (const end of runTrainings(this.#context(harvest), tasks, store)) {
      const { id } = end.task.planned;
      if ("error" in end) {
        this.#failed.push({ id, error: end.error });
        continue;
      }
      await end.task.folder.finish(end.files);
      this.#ran.add(`${id}/train`);
    }
  }

  async #measure(job: SaeJob, harvest: HarvestJob): Promise<void> {
    throwIfAborted(this.#options.signal, "finished jobs are kept");
    const folder = this.#folder(job.id);
    const folders = {
      train: this.#folder(`${job.sae.id}/train`),
      evaluate: this.#folder(`${job.sae.id}/evaluate`),
      export: this.#folder(`${job.sae.id}/export`),
    };
    const context = this.#context(job);
    await folder.begin();
    if (job.kind === "export") {
      const taken = new Set(this.#rows.map(({ path }) => path));
      await folder.finish(await runExport(context, job.sae, folders, taken));
    } else {
      await this.#withStore(harvest, async (store) => {
        await folder.finish(await runEvaluation(context, store, folders.train, folder));
      });
    }
    this.#ran.add(job.id);
  }

  /** @param more behind the job's name, where it stands for several */
  #context(job: HarvestJob | SaeJob, more = ""): JobContext {
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
          stage: `${place}/${this.#plan.jobs.length} ${job.id}${more}: ${event.stage}`,
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

  #activationsFolder({ site, layer }: HarvestJob): string {
    return join(this.#options.out, "activations", ...folderOf(site, layer).split("/"));
  }

  async #removeActivations(job: HarvestJob): Promise<void> {
    await rm(this.#activationsFolder(job), { recursive: true, force: true });
  }

  #folder(id: string): JobFolder {
    const folder = this.#folders.get(id);
    if (folder === undefined) throw internalFault(`there is no job ${id}`);
    return folder;
  }
}
