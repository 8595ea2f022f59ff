import { type ActivationStore, heldOutRows, shardBatches } from "@latentkit/activations";
import { harvest, openActivations } from "@latentkit/activations/node";
import type { LongCallOptions } from "@latentkit/core";
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
  recipe,
  spliceLoss,
  storeContexts,
} from "@latentkit/sae";
import { loadHistory, loadSae, saveSae, trainSae } from "@latentkit/sae/node";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { densityHistogram } from "../densities.ts";
import type { SuiteDocuments } from "../documents.ts";
import { type SaeFigures, saeFiguresSchema, type SuiteRow } from "../metrics.ts";
import type { PlannedSae, SuiteJob } from "../plan.ts";
import { releasePath } from "../release.ts";
import { type Suite, tokenLimit } from "../suite.ts";
import type { JobFolder } from "./job-record.ts";
import { jsonText } from "./json.ts";

/** What all jobs of a suite share. */
export interface JobContext extends LongCallOptions {
  readonly suite: Suite;
  readonly model: LanguageModel;
  readonly documents: SuiteDocuments;
  /** The suite's folder. */
  readonly out: string;
}

/** Memory for the training activations that are mixed with each other. */
const mixedBytes = 2 ** 30;
/** Held-out activations on which training is followed: enough for densities of 0.1 to be within 0.3 points. */
const followedRows = 20_000;

const densitiesFile = "densities.safetensors";
const figuresFile = "figures.json";

/** Names of what jobs leave in their folders, for other jobs. */
export const rowFile = "row.json";

/** Stores the activations of a job's site in `folder`, as far as they are not there. */
export async function runHarvest(
  context: JobContext,
  job: SuiteJob,
  folder: string,
): Promise<ActivationStore> {
  const { suite, model, documents, signal, onProgress } = context;
  await harvest({
    model,
    documents: documents.open(),
    site: job.hookName,
    out: folder,
    packing: { contextSize: suite.contextSize, prependBos: suite.prependBos },
    batchSize: suite.batchSize,
    split: { heldOut: suite.heldOut, seed: suite.seed },
    maximumTokens: tokenLimit(suite),
    signal,
    onProgress,
  });
  return openActivations(folder);
}

/** Trains an SAE, with checkpoints in the job's folder while it goes on; leaves it in `sae`. */
export async function runTraining(
  { model, signal, onProgress }: JobContext,
  planned: PlannedSae,
  store: ActivationStore,
  folder: JobFolder,
): Promise<string[]> {
  const { seed, presentations, width, sparsity, k, batchSize } = planned;
  const { name, weightsHash } = model.identity();
  const { packing, site } = store.manifest;
  const checkpointDir = join(folder.path, "checkpoints");
  const { sae, history } = await trainSae({
    device: model.device,
    config: recipe(planned.recipe, {
      dSae: width,
      seed,
      tokens: presentations,
      ...(batchSize === null ? {} : { batchSize }),
      ...(sparsity === null ? {} : { sparsity }),
      ...(k === null ? {} : { k }),
    }),
    batches: shardBatches(store, { split: "train", seed, bufferShards: mixedShards(store) }),
    heldOut: await heldOutRows(store, followedRows, { signal }),
    metadata: {
      modelName: name,
      hookName: site,
      weightsHash,
      contextSize: packing.contextSize,
      prependBos: packing.prependBos,
    },
    checkpointDir,
    signal,
    onProgress,
  });
  using trained = sae;
  await saveSae(trained, join(folder.path, "sae"), { history, signal });
  await rm(checkpointDir, { recursive: true, force: true });
  return filesIn(folder, "sae");
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
  if (planned.architecture === "jumprelu") {
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

/** As many shards as {@link mixedBytes} holds, and at least four. */
function mixedShards({ manifest, dIn }: ActivationStore): number {
  const largest = Math.max(1, ...manifest.shards.map(({ tokens }) => tokens));
  return Math.max(4, Math.floor(mixedBytes / (largest * dIn * 4)));
}

/** JSON has no NaN: what divides by nothing is null. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
