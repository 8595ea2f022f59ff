import { type ActivationStore, heldOutRows } from "@latentkit/activations";
import { harvestSites, openActivations } from "@latentkit/activations/node";
import { LatentkitError, type LongCallOptions } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { SuiteDocuments } from "../../documents.ts";
import type { JobFolder } from "../job-record.ts";
import type { Comparison } from "../../compare/config.ts";
import { siteOf } from "../../compare/plan.ts";

/** What {@link HarvestedSite} harvests, and where to. */
export interface HarvestedSiteOptions extends LongCallOptions {
  readonly comparison: Comparison;
  readonly model: LanguageModel;
  readonly documents: SuiteDocuments;
  /** The comparison's folder. */
  readonly out: string;
}

/** Held-out activations on which trainings are followed and learning rates chosen. */
const followedRows = 8192;

/** The activations of a comparison: harvested where they are not there, and once more where they are found to be damaged. */
export class HarvestedSite {
  readonly #options: HarvestedSiteOptions;
  readonly #job: JobFolder;
  #store: ActivationStore | null = null;
  #followed: Float32Array | null = null;
  #state: "ran" | "skipped" | null = null;

  constructor(options: HarvestedSiteOptions, job: JobFolder) {
    this.#options = options;
    this.#job = job;
  }

  /** Whether harvesting ran in this call, or was done before; null until that is known. */
  get state(): "ran" | "skipped" | null {
    return this.#state;
  }

  /** Removes activations of other inputs, where `redo` allows it. Throws MismatchError `SUITE_JOB_DIFFERS` where not. */
  async clearOther(redo: boolean): Promise<void> {
    if (await this.#job.clearOther(redo)) await rm(this.#folder, { recursive: true, force: true });
  }

  /** Does what reads activations; where a shard turns out to be damaged or gone, harvests again and does it once more. */
  async use(work: (store: ActivationStore) => Promise<void>): Promise<void> {
    try {
      await work(await this.#open());
    } catch (error) {
      const mendable =
        LatentkitError.isInstance(error) &&
        (error.code === "SHARD_CORRUPT" || error.code === "SHARD_MISSING");
      if (!mendable) throw error;
      this.#store = await this.#harvest();
      await work(this.#store);
    }
  }

  /** Held-out activations to follow trainings on, read once. */
  async followed(store: ActivationStore): Promise<Float32Array> {
    this.#followed ??= await heldOutRows(store, followedRows, { signal: this.#options.signal });
    return this.#followed;
  }

  async #open(): Promise<ActivationStore> {
    if (this.#store !== null) return this.#store;
    const finished = await this.#job.finished();
    const there = finished === null ? null : await openActivations(this.#folder).catch(typed);
    if (there !== null) this.#state = "skipped";
    this.#store = there ?? (await this.#harvest());
    return this.#store;
  }

  async #harvest(): Promise<ActivationStore> {
    const { comparison, model, documents, signal, onProgress } = this.#options;
    await this.#job.begin();
    await harvestSites({
      model,
      documents: documents.open(),
      sites: [{ site: siteOf(comparison), out: this.#folder }],
      packing: { contextSize: comparison.contextSize, prependBos: comparison.prependBos },
      batchSize: comparison.contextsPerRun,
      split: { heldOut: comparison.heldOut, seed: comparison.seed },
      maximumTokens: comparison.maxTokens,
      signal,
      onProgress,
    });
    const store = await openActivations(this.#folder);
    await this.#job.finish(["activations/manifest.json"]);
    this.#state = "ran";
    return store;
  }

  get #folder(): string {
    return join(this.#options.out, "activations");
  }
}

/** Activations that cannot be opened are harvested again; what is no error of this library goes on. */
function typed(error: unknown): null {
  if (LatentkitError.isInstance(error)) return null;
  throw error;
}
