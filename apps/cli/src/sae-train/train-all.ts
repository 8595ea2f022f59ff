import { ConfigError, LatentkitError, MismatchError } from "@latentkit/core";
import type { OnProgress } from "@latentkit/core";
import { readJson, writeFileAtomic } from "@latentkit/loaders/node";
import { renderTraining, type TrainingReport } from "@latentkit/report";
import {
  describeTraining,
  type SaeStepEvent,
  type SaeTraining,
  stabilityOf,
  trainingSchedule,
  type TrainingHistory,
  trainSaes,
} from "@latentkit/sae";
import { checkpointFolder, loadHistory, saveSae } from "@latentkit/sae/node";
import type { ActivationBatches } from "@latentkit/activations";
import type { Device } from "@latentkit/tensor";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { SaeTrainConfig, WantedSae } from "./config.ts";
import type { OpenSources, SiteSource } from "./sources.ts";

/** An SAE of a site, and its folder. */
export interface PlannedTraining {
  /** `SITE/NAME`, also the folder below the output folder. */
  readonly id: string;
  readonly folder: string;
  readonly site: SiteSource;
  readonly wanted: WantedSae;
}

/** How an SAE ended. */
export interface TrainedRow {
  readonly id: string;
  readonly folder: string;
  readonly site: string;
  readonly status: "done before" | "stopped" | "trained";
  readonly history: TrainingHistory;
  readonly error: LatentkitError | null;
}

/**
 * Every SAE at every site that it is for.
 *
 * @throws ConfigError `SAE_TRAIN_SITE` where an entry names a site that there is not
 */
export function planTrainings(
  { saes }: SaeTrainConfig,
  { sites }: OpenSources,
  out: string,
): PlannedTraining[] {
  const names = sites.map(({ site }) => site);
  for (const { name, sites: own } of saes) {
    const stray = own?.find((site) => !names.includes(site));
    if (stray === undefined) continue;
    throw new ConfigError({
      code: "SAE_TRAIN_SITE",
      message: `"${name}" is for the site ${stray}, but there are ${names.join(", ")}`,
      fix: "name a site of the file, or of its shards",
    });
  }
  return sites.flatMap((site) =>
    saes
      .filter(({ sites: own }) => own?.includes(site.site) ?? true)
      .map((wanted) => {
        const id = `${site.site}/${wanted.name}`;
        return { id, folder: join(out, "saes", site.site, wanted.name), site, wanted };
      }),
  );
}

const sourceSchema = z.object({ schemaVersion: z.literal(1), source: z.unknown() });

/**
 * Notes what the activations of an output folder are.
 *
 * @throws MismatchError `SAE_TRAIN_SOURCE` where the folder has SAEs of other activations
 */
export async function claimFolder(out: string, { identity }: OpenSources): Promise<void> {
  await mkdir(out, { recursive: true });
  const path = join(out, "source.json");
  const before = await readJson(path, sourceSchema).catch((error: unknown) => {
    if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING") return null;
    throw error;
  });
  const now = JSON.stringify({ schemaVersion: 1, source: identity }, null, 2);
  if (before === null) {
    await writeFileAtomic(path, `${now}\n`);
    return;
  }
  if (JSON.stringify(before.source) === JSON.stringify(JSON.parse(now).source)) return;
  throw new MismatchError({
    code: "SAE_TRAIN_SOURCE",
    message: "the folder has SAEs of other activations: of another model, text, or settings",
    fix: "use a new --out folder, or go back to the old model, text and settings",
    where: path,
  });
}

/** What {@link trainAll} needs. */
export interface TrainAllOptions {
  readonly device: Device;
  readonly plan: readonly PlannedTraining[];
  readonly sources: OpenSources;
  readonly allowOtherBackend: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  readonly onStep: (event: SaeStepEvent) => void;
}

/**
 * Trains what is not done yet, all SAEs of a site and seed on one stream, and saves each.
 *
 * @throws MismatchError `SAE_TRAIN_DIFFERS` where a folder has an SAE of another configuration
 */
export async function trainAll(options: TrainAllOptions): Promise<TrainedRow[]> {
  const { plan, sources } = options;
  const rows = new Map<string, TrainedRow>();
  for (const planned of plan) {
    const history = await loadHistory(planned.folder);
    if (history === null) continue;
    checkSame(planned, history);
    const { id, folder, site } = planned;
    const status = "done before";
    rows.set(id, { id, folder, site: site.site, status, history, error: null });
  }
  const open = plan.filter(({ id }) => !rows.has(id));
  try {
    for (const row of await trainOpen(options, open)) rows.set(row.id, row);
  } catch (error) {
    const { mend } = sources;
    const damaged =
      LatentkitError.isInstance(error) &&
      (error.code === "SHARD_CORRUPT" || error.code === "SHARD_MISSING");
    if (!damaged || mend === null) throw error;
    await mend();
    for (const row of await trainOpen(options, open)) rows.set(row.id, row);
  }
  return plan.flatMap(({ id }) => rows.get(id) ?? []);
}

async function trainOpen(
  options: TrainAllOptions,
  open: readonly PlannedTraining[],
): Promise<TrainedRow[]> {
  if (open.length === 0) return [];
  const { device, allowOtherBackend, signal, onProgress, onStep } = options;
  const streams = new Map<string, ActivationBatches>();
  const saes = open.map(({ id, folder, site, wanted }): SaeTraining => {
    const { config, seed } = wanted;
    const key = JSON.stringify([site.site, seed, config.batchSize]);
    const batches = streams.get(key) ?? site.batches(seed);
    streams.set(key, batches);
    const { heldOut, metadata } = site;
    const checkpoints = checkpointFolder(join(folder, "checkpoint"));
    return { name: id, config, batches, heldOut, metadata, checkpoints };
  });
  const outcomes = await trainSaes({
    device,
    saes,
    allowOtherBackend,
    signal,
    onProgress,
    onStep,
  });
  const rows: TrainedRow[] = [];
  for (const [index, planned] of open.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    const { id, folder, site } = planned;
    const row = { id, folder, site: site.site, history: outcome.history };
    if (outcome.status === "stopped") {
      rows.push({ ...row, status: "stopped", error: outcome.error });
      continue;
    }
    using sae = outcome.sae;
    await saveMetrics(folder, outcome.history);
    await saveSae(sae, folder, { history: outcome.history, signal });
    await rm(join(folder, "checkpoint"), { recursive: true, force: true });
    rows.push({ ...row, status: "trained", error: null });
  }
  return rows;
}

/** `metrics.jsonl`, a line for each evaluation, which outlives the checkpoints. */
async function saveMetrics(folder: string, { points }: TrainingHistory): Promise<void> {
  await mkdir(folder, { recursive: true });
  const lines = points.map((point) => `${JSON.stringify(point)}\n`);
  await writeFileAtomic(join(folder, "metrics.jsonl"), lines.join(""));
}

function checkSame({ id, folder, wanted }: PlannedTraining, { config }: TrainingHistory): void {
  const now: Record<string, unknown> = { ...wanted.config };
  const changed = Object.entries(config)
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(now[name]))
    .map(
      ([name, value]) => `${name} was ${JSON.stringify(value)}, is ${JSON.stringify(now[name])}`,
    );
  if (changed.length === 0) return;
  throw new MismatchError({
    code: "SAE_TRAIN_DIFFERS",
    message: `${id} was trained with another configuration: ${changed.join("; ")}`,
    fix: 'use a new --out folder, or give the entry a "name" of its own',
    where: folder,
  });
}

/** Writes `report.html`; gives its path. */
export async function writeReport(
  out: string,
  rows: readonly TrainedRow[],
  facts: TrainingReport["facts"],
  title: string,
): Promise<string> {
  const path = join(out, "report.html");
  const report: TrainingReport = {
    title,
    createdAt: new Date().toISOString(),
    command: null,
    facts,
    saes: rows.map(({ id, site, status, history, error }) => {
      const { config, presentations, uniqueTokens, points } = history;
      return {
        name: id.slice(site.length + 1) + (moreSites(rows) ? ` at ${site}` : ""),
        site,
        architecture: config.architecture === "custom" ? config.name : config.architecture,
        width: config.dSae,
        status: status === "stopped" ? "stopped" : "trained",
        reason: error === null ? null : `${error.message}. ${error.fix}.`,
        planned: config.steps * config.batchSize,
        presentations,
        uniqueTokens,
        points,
        schedule: trainingSchedule(config),
        settings: describeTraining(config),
        stability: error === null ? stabilityOf(history).reason : null,
      };
    }),
  };
  await writeFileAtomic(path, renderTraining(report));
  return path;
}

function moreSites(rows: readonly TrainedRow[]): boolean {
  return new Set(rows.map(({ site }) => site)).size > 1;
}
