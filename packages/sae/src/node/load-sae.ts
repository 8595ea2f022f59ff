import { LatentkitError, type LongCallOptions } from "@latentkit/core";
import { readJson, type RemoteOptions } from "@latentkit/loaders/node";
import type { Device } from "@latentkit/tensor";
import { join } from "node:path";
import { z } from "zod";
import type { SaeConfig, SaeMetadata } from "../config.ts";
import type { SaeFormatName } from "../formats/format.ts";
import { openSaeFiles } from "../formats/open-sae-files.ts";
import type { Sae } from "../sae.ts";
import { type TrainingHistory, trainingHistorySchema } from "../train/history.ts";
import { files } from "./files.ts";
import { locateSae, type SaeRemoteOptions } from "./sae-files.ts";

/** How an SAE is found and read. */
export interface OpenSaeOptions extends LongCallOptions {
  /**
   * For SAELens checkpoints with `expected_average_only_in`, by default from `activation_scaler.json` beside them; and for Llama Scope R1
   * Distill.
   */
  readonly inputScale?: number | undefined;
  /** Latents that TopK keeps, for torch files of Qwen Scope that are not in a folder named as their repository is. */
  readonly k?: number | undefined;
  /** What is known of model and site; comes before what the files say. */
  readonly metadata?: SaeMetadata | undefined;
  /** How servers are reached, where the SAE is not on this machine. */
  readonly remote?: SaeRemoteOptions | undefined;
}

/** How {@link loadSae} reads. */
export interface LoadSaeOptions extends OpenSaeOptions {
  readonly device: Device;
}

const trainingSchema = z.looseObject({
  schemaVersion: z.literal(1),
  identity: z.string(),
  history: trainingHistorySchema,
});

/**
 * Loads an SAE or transcoder that {@link saveSae}, SAELens or another library wrote: see docs/reference/sae-formats.md. Which format it is
 * is told by its files. What a format needs beside its weights is folded into them: ReLU and Gated SAEs become JumpReLU, exactly; scaled
 * and whitened inputs and decoder norms are folded away. The caller disposes the SAE.
 *
 * @param source a folder or file of this machine; an http(s) address of either, a folder's with a slash at its end;
 *   `org/name/path[@revision]` of the hub; or RELEASE/ID as SAELens names them
 * @throws IoError `FILE_MISSING`, `SAE_NOT_FOUND` and those of the hub and of servers; FormatError `SAE_FORMAT_UNKNOWN`,
 *   `SAE_FILES_MISSING`, `SAE_CONFIG_INVALID`, `SAE_ARCHITECTURE_UNKNOWN`, `TENSOR_MISSING`, `SAE_WEIGHTS_SHAPE`,
 *   `SAE_WEIGHTS_NOT_FINITE`, `JSON_SYNTAX` and those of safetensors, numpy and torch files; ConfigError `SAE_UNSUPPORTED`,
 *   `SAE_INPUT_SCALE_UNKNOWN`, `SAE_WHITENING_UNKNOWN`, `SAE_K_UNKNOWN`, `SAE_RELEASE_UNKNOWN`; AbortedError
 *
 * @example
 * using sae = await loadSae("gemma-scope-2b-pt-res-canonical/layer_20/width_16k/canonical", { device });
 */
export async function loadSae(source: string, options: LoadSaeOptions): Promise<Sae> {
  const plan = await openPlan(source, options);
  try {
    return await plan.build(options.device);
  } finally {
    await plan.close();
  }
}

/** What an SAE's files say, without its weights. */
export interface SaeDescription {
  readonly format: SaeFormatName;
  readonly config: SaeConfig;
  /** What loading does to the weights. */
  readonly folds: readonly string[];
  /** The file's tensors, by its own names. */
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    /** How the elements are stored, for example `F32`. */
    readonly format: string;
  }[];
}

/** Says what {@link loadSae} would load, from configuration and tensor table alone. Throws as it does, but for what weights hold. */
export async function describeSae(
  source: string,
  options: OpenSaeOptions = {},
): Promise<SaeDescription> {
  const plan = await openPlan(source, options);
  try {
    const { format, config, folds, weights } = plan;
    return { format, config, folds, tensors: weights.names().map((name) => weights.info(name)) };
  } finally {
    await plan.close();
  }
}

async function openPlan(source: string, options: OpenSaeOptions) {
  const { remote, signal, onProgress } = options;
  const reach: RemoteOptions = { ...remote, signal, onProgress };
  return openSaeFiles(await locateSae(source, reach), options);
}

/** The training history that {@link saveSae} wrote beside an SAE; null where there is none. */
export async function loadHistory(folder: string): Promise<TrainingHistory | null> {
  const training = await readJson(join(folder, files.training), trainingSchema).catch(
    (error: unknown) => {
      if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING") return null;
      throw error;
    },
  );
  return training?.history ?? null;
}
