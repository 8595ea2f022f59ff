import { LatentkitError } from "@latentkit/core";
import { openFile, openSafetensorsFile, readJson } from "@latentkit/loaders/node";
import type { Device } from "@latentkit/tensor";
import { access } from "node:fs/promises";
import { extname, join } from "node:path";
import { z } from "zod";
import type { SaeMetadata } from "../config.ts";
import { gemmaScopeFile, saeFromGemmaScopeNpz } from "../formats/gemma-scope.ts";
import { parseSaeLensConfig } from "../formats/saelens-config.ts";
import { readSaeLensWeights } from "../formats/saelens-weights.ts";
import type { Sae } from "../sae.ts";
import { type TrainingHistory, trainingHistorySchema } from "../train/history.ts";
import { files } from "./files.ts";

/** How {@link loadSae} reads. */
export interface LoadSaeOptions {
  readonly device: Device;
  /** For SAELens checkpoints with `expected_average_only_in`; by default from `activation_scaler.json` beside them. */
  readonly inputScale?: number | undefined;
  /** What is known of model and site, for `params.npz`, which does not say; `cfg.json` has its own. */
  readonly metadata?: SaeMetadata | undefined;
  readonly signal?: AbortSignal | undefined;
}

const scalerSchema = z.looseObject({ scaling_factor: z.number().nullish() });
const trainingSchema = z.looseObject({
  schemaVersion: z.literal(1),
  identity: z.string(),
  history: trainingHistorySchema,
});

/**
 * Loads an SAE that {@link saveSae} or SAELens 6 wrote: TopK, JumpReLU, or standard (ReLU) and gated, which become
 * JumpReLU, exactly. Scaled inputs and decoder norms are folded into the weights. Gemma Scope's `params.npz` is read too. The caller disposes
 * the SAE.
 *
 * @param path a folder with `cfg.json` and `sae_weights.safetensors`, or, without the first, with `params.npz`; or an `.npz` file
 * @throws IoError `FILE_MISSING`; FormatError `JSON_SYNTAX`, `SAE_CONFIG_INVALID`, `SAE_ARCHITECTURE_UNKNOWN`, `TENSOR_MISSING`,
 *   `SAE_WEIGHTS_SHAPE`, `SAE_WEIGHTS_NOT_FINITE`, `NPZ_ARCHIVE`, `NPY_HEADER`, `NPY_TYPE`, `NPY_SIZE`; ConfigError `SAE_UNSUPPORTED`,
 *   `SAE_INPUT_SCALE_UNKNOWN`; AbortedError
 */
export async function loadSae(path: string, options: LoadSaeOptions): Promise<Sae> {
  const archive = await archiveOf(path);
  return archive === null ? loadFolder(path, options) : loadArchive(archive, options);
}

/** The `.npz` file that `path` stands for; null for a folder of SAELens's, or where there is nothing. */
async function archiveOf(path: string): Promise<string | null> {
  if (extname(path).toLowerCase() === extname(gemmaScopeFile)) return path;
  // cfg.json knows more: k, the model and the site.
  if (await isThere(join(path, files.config))) return null;
  const archive = join(path, gemmaScopeFile);
  return (await isThere(archive)) ? archive : null;
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function loadArchive(
  path: string,
  { device, metadata, signal }: LoadSaeOptions,
): Promise<Sae> {
  const source = await openFile(path);
  try {
    const bytes = await source.read(0, source.size, signal);
    return await saeFromGemmaScopeNpz(bytes, { device, where: path, metadata, signal });
  } finally {
    await source.close();
  }
}

async function loadFolder(folder: string, options: LoadSaeOptions): Promise<Sae> {
  const configPath = join(folder, files.config);
  const parsed = parseSaeLensConfig(await readJson(configPath, z.unknown()), configPath);
  const inputScale =
    options.inputScale ?? (parsed.scaledInput ? await scalerOf(folder) : undefined);
  const store = await openSafetensorsFile(join(folder, files.weights));
  try {
    return await readSaeLensWeights(store, parsed, { ...options, inputScale });
  } finally {
    await store.close();
  }
}

/** The training history that {@link saveSae} wrote beside an SAE; null where there is none. */
export async function loadHistory(folder: string): Promise<TrainingHistory | null> {
  const training = await ifThere(readJson(join(folder, files.training), trainingSchema));
  return training?.history ?? null;
}

async function scalerOf(folder: string): Promise<number | undefined> {
  const scaler = await ifThere(readJson(join(folder, files.scaler), scalerSchema));
  return scaler?.scaling_factor ?? undefined;
}

async function ifThere<T>(reading: Promise<T>): Promise<T | null> {
  return reading.catch((error: unknown) => {
    if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING") return null;
    throw error;
  });
}
