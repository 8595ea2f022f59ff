import { type ActivationStore, heldOutRows } from "@latentkit/activations";
import { harvestSites, openActivations } from "@latentkit/activations/node";
import type { LatentkitError, LongCallOptions } from "@latentkit/core";
import {
  openSafetensorsFile,
  readJson,
  writeFileAtomic,
  writeSafetensors,
} from "@latentkit/loaders/node";
import type { LanguageModel } from "@latentkit/models";
import {
  evaluateSae,
  gemmaScopeFile,
  gemmaScopeNpz,
  spliceLoss,
  storeContexts,
} from "@latentkit/sae";
import { loadHistory, loadSae, saveSae } from "@latentkit/sae/node";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { densityHistogram } from "../densities.ts";
import type { SuiteDocuments } from "../documents.ts";
import { type SaeFigures, saeFiguresSchema, type SuiteRow } from "../metrics.ts";
import { type PlannedSae, recipeOf, type SuiteJob } from "../plan.ts";
import { releasePath } from "../release.ts";
import { type Suite, tokenLimit } from "../suite.ts";
import type { JobFolder } from "./job-record.ts";
import { jsonText } from "./json.ts";
import { removeCheckpoints, trainTogether } from "./train-together.ts";

/** What all jobs of a suite share. */
export interface JobContext extends LongCallOptions {
  readonly suite: Suite;
  readonly model: LanguageModel;
  readonly documents: SuiteDocuments;
  /** The suite's folder. */
  readonly out: string;
}

/** Held-out activations on which training is followed: enough for densities of 0.1 to be within 0.3 points. */
const followedRows = 20_000;

const densitiesFile = "densities.safetensors";
const figuresFile = "figures.json";

/** Names of what jobs leave in their folders, for other jobs. */
export const rowFile = "row.json";

/** A place whose activations are to be stored, and where to. */
export interface HarvestTask {
  readonly job: SuiteJob;
  readonly folder: string;
}

/** Stores the activations of several places, as far as they are not there, from one run of the model over the text. */
export async function runHarvests(
  context: JobContext,
  tasks: readonly HarvestTask[],
): Promise<ActivationStore[]> {
  const { suite, model, documents, signal, onProgress } = context;
  await harvestSites({
    model,
    documents: documents.open(),
    sites: tasks.map(({ job, folder }) => ({ site: job.hookName, out: folder })),
    packing: { contextSize: suite.contextSize, prependBos: suite.prependBos },
    batchSize: suite.batchSize,
    split: { heldOut: suite.heldOut, seed: suite.seed },
    maximumTokens: tokenLimit(suite),
    signal,
    onProgress,
  });
  const stores: ActivationStore[] = [];
  for (const { folder } of tasks) stores.push(await openActivations(folder));
  return stores;
}

/** An SAE to train, and the folder of that job. */
export interface TrainingTask {
  readonly planned: PlannedSae;
  readonly folder: JobFolder;
}

/** How a {@link TrainingTask} ended: the files that it left in `sae`, or why it was given up. */
export type TrainingEnd =
  | { readonly task: TrainingTask; readonly files: string[] }
  | { readonly task: TrainingTask; readonly error: LatentkitError };

/** Trains SAEs of one place together, see {@link trainTogether}, and saves them. */
export async function* runTrainings(
  { model, signal, onProgress }: JobContext,
  tasks: readonly TrainingTask[],
  store: ActivationStore,
): AsyncGenerator<TrainingEnd, void, undefined> {
  const heldOut = await heldOutRows(store, followedRows, { signal });
  const named = tasks.map((task) => {
    const { planned, folder } = task;
    return { id: planned.id, config: recipeOf(planned), folder, task };
  });
  for await (const end of trainTogether(named, { model, store, heldOut, signal, onProgress })) {
    const { task } = end.task;
    if ("error" in end) {
      yield { task, error: end.error };
      continue;
    }
    using trained = end.sae;
    const { folder } = task;
    await saveSae(trained, join(folder.path, "sae"), { history: end.history, signal });
    await removeCheckpoints(folder);
    yield { task, files: await filesIn(folder, "sae") };
  }
}

/** Measures an SAE on held-out text; leaves the figures and densities. */
export async function runEvaluation(
  { suite, model, signal, onProgress }: JobContext,
  store: ActivationStore,
  training: JobFolder,
  folder: JobFolder,
): Promise<string[]> {
  const { seed } = suite;
  using sae = await loadSae(join(training.path, "sae"), { device: model.device, signal });
  const metrics = await evaluateSae(sae, store, { seed, signal, onProgress });
  const contexts = await storeContexts(store, { limit: suite.spliceContexts, signal });
  const splice = await spliceLoss(model, sae, contexts, {
    site: store.manifest.site,
    mask: store.manifest.mask,
    batchSize: suite.batchSize,
    seed,
    signal,
    onProgress,
  });
  const figures: SaeFigures = {
    identity: await sae.identity(),
    dIn: sae.config.dIn,
    tokens: metrics.tokens,
    documents: metrics.documents,
    l0: metrics.l0,
    l0Interval: metrics.l0Interval,
    fvu: metrics.fvu,
    fvuInterval: metrics.fvuInterval,
    dead: metrics.deadFraction,
    dense: metrics.denseFraction,
    densities: densityHistogram(metrics.densities),
    relativeReconstructionBias: finite(metrics.relativeReconstructionBias),
    lossTokens: splice.tokens,
    cleanLoss: splice.cleanLoss,
    splicedLoss: splice.splicedLoss,
    zeroAblatedLoss: splice.ablatedLoss,
    meanAblatedLoss: splice.meanAblatedLoss,
    deltaLoss: splice.delta,
    deltaLossInterval: splice.intervals.delta,
    lossRecovered: finite(splice.recovered),
    lossRecoveredFromMean: finite(splice.recoveredFromMean),
  };
  await writeSafetensors(join(folder.path, densitiesFile), [
    {
      name: "densities",
      dtype: "f32",
      shape: [metrics.densities.length],
      bytes: metrics.densities,
    },
  ]);
  await writeFileAtomic(join(folder.path, figuresFile), jsonText(figures));
  return [`${folder.name}/${densitiesFile}`, `${folder.name}/${figuresFile}`];
}

/** Writes an SAE out where its release has it; leaves its row of the metrics. */
export async function runExport(
  { suite, model, out, signal }: JobContext,
  planned: PlannedSae,
  folders: Readonly<Record<"evaluate" | "export" | "train", JobFolder>>,
  taken: ReadonlySet<string>,
): Promise<string[]> {
  const { train, evaluate, export: folder } = folders;
  const figures = await readJson(join(evaluate.path, figuresFile), saeFiguresSchema);
  const trained = join(train.path, "sae");
  using sae = await loadSae(trained, { device: model.device, signal });
  const history = await loadHistory(trained);
  const path = releasePath(suite.name, planned, figures.l0, taken);
  const target = join(out, ...path.split("/"));
  await mkdir(target, { recursive: true });
  const names = ["cfg.json", "sae_weights.safetensors", "sparsity.safetensors"];
  await saveSae(sae, target, {
    densities: await readDensities(join(evaluate.path, densitiesFile)),
    signal,
    ...(history === null ? {} : { history }),
  });
  if (history !== null) names.push("training.json");
  if (sae.config.architecture === "jumprelu") {
    await writeFileAtomic(join(target, gemmaScopeFile), await gemmaScopeNpz(sae), { signal });
    names.push(gemmaScopeFile);
  }
  const row: SuiteRow = { ...planned, path, ...figures };
  await writeFileAtomic(join(folder.path, rowFile), jsonText(row));
  return [...names.map((name) => `${path}/${name}`), `${folder.name}/${rowFile}`];
}

async function readDensities(path: string): Promise<Float32Array> {
  const store = await openSafetensorsFile(path);
  try {
    return await store.readFloats("densities");
  } finally {
    await store.close();
  }
}

async function filesIn(folder: JobFolder, name: string): Promise<string[]> {
  const files = await readdir(join(folder.path, name));
  return files.map((file) => `${folder.name}/${name}/${file}`);
}

/** JSON has no NaN: what divides by nothing is null. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
