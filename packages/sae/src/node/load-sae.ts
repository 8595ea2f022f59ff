import { LatentkitError } from "@latentkit/core";
import { openSafetensorsFile, readJson } from "@latentkit/loaders/node";
import type { Device } from "@latentkit/tensor";
import { join } from "node:path";
import { z } from "zod";
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
  readonly signal?: AbortSignal | undefined;
}

const scalerSchema = z.looseObject({ scaling_factor: z.number().nullish() });
const trainingSchema = z.looseObject({
  schemaVersion: z.literal(1),
  identity: z.string(),
  history: trainingHistorySchema,
});

/**
 * Loads an SAE that {@link saveSae} or SAELens 6 wrote: TopK, JumpReLU, or standard (ReLU), which becomes JumpReLU with threshold
 * 0, exactly. Scaled inputs and decoder norms are folded into the weights. The caller disposes the SAE.
 *
 * @throws IoError `FILE_MISSING`; FormatError `JSON_SYNTAX`, `SAE_CONFIG_INVALID`, `SAE_ARCHITECTURE_UNKNOWN`, `TENSOR_MISSING`,
 *   `SAE_WEIGHTS_SHAPE`, `SAE_WEIGHTS_NOT_FINITE`; ConfigError `SAE_UNSUPPORTED`, `SAE_INPUT_SCALE_UNKNOWN`
 */
export async function loadSae(folder: string, options: LoadSaeOptions): Promise<Sae> {
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
