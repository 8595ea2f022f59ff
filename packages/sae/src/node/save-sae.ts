import { type LongCallOptions, ShapeError } from "@latentkit/core";
import { writeFileAtomic, writeSafetensors } from "@latentkit/loaders/node";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { saeLensConfigOf } from "../formats/saelens-config.ts";
import { roundedToF16 } from "../formats/round-weights.ts";
import { type SaeDType, saeLensSparsity, saeLensTensors } from "../formats/saelens-weights.ts";
import { identityOf } from "../identity.ts";
import type { Sae } from "../sae.ts";
import type { TrainingHistory } from "../train/history.ts";
import { files } from "./files.ts";

/** What goes beside the weights. */
export interface SaveSaeOptions extends Pick<LongCallOptions, "signal"> {
  /** Written as `training.json`. */
  readonly history?: TrainingHistory | undefined;
  /** Share of tokens on which each latent fires, `[dSae]`, written as `sparsity.safetensors`. */
  readonly densities?: Float32Array | undefined;
  /** `"f16"` halves the file and rounds each number to 11 bits; it is read, here and by SAELens, into f32. `"f32"` by default. */
  readonly dtype?: SaeDType | undefined;
}

/**
 * Writes `cfg.json` and `sae_weights.safetensors` as SAELens 6 has them (`SAE.load_from_disk` reads the folder unchanged), and
 * what else there is. The same SAE gives the same bytes. `cfg.json` comes last, so that a folder with one is complete.
 *
 * @throws IoError `DISK_FULL`, `FILE_DENIED`; ShapeError `SHAPE_DENSITIES`; ConfigError `SAE_F16_RANGE`; AbortedError
 */
export async function saveSae(
  sae: Sae,
  folder: string,
  options: SaveSaeOptions = {},
): Promise<void> {
  const { history, densities, signal, dtype = "f32" } = options;
  if (densities !== undefined && densities.length !== sae.config.dSae) {
    throw new ShapeError({
      code: "SHAPE_DENSITIES",
      message: `${densities.length} densities were given for ${sae.config.dSae} latents`,
      fix: "give one density a latent",
    });
  }
  const weights = await sae.weights();
  const stored = dtype === "f16" ? roundedToF16(weights) : weights;
  await mkdir(folder, { recursive: true });
  await writeSafetensors(
    join(folder, files.weights),
    saeLensTensors(stored, dtype, { tied: sae.config.architecture === "matching_pursuit" }),
    {},
    { signal },
  );
  if (densities !== undefined)
    await writeSafetensors(
      join(folder, files.sparsity),
      saeLensSparsity(densities),
      {},
      { signal },
    );
  if (history !== undefined) {
    // Of what a reader will get, which rounding made another SAE.
    const identity =
      stored === weights ? await sae.identity() : await identityOf(sae.config, stored);
    const training = { schemaVersion: 1, identity, history };
    await writeFileAtomic(join(folder, files.training), `${JSON.stringify(training, null, 1)}\n`, {
      signal,
    });
  }
  await writeFileAtomic(
    join(folder, files.config),
    `${JSON.stringify(saeLensConfigOf(sae.config, sae.skip !== null), null, 2)}\n`,
    { signal },
  );
}
