import { FormatError, LatentkitError } from "@latentkit/core";
import { z } from "zod";
import type { Whitening } from "./fold.ts";
import type { FormatOptions, SaeFiles, SaeFormat } from "./format.ts";
import { withSafetensors } from "./plan.ts";
import { parseSaeLensConfig, type SaeLensConfig } from "./saelens-config.ts";
import { readSaeLensWeights } from "./saelens-weights.ts";
import { readWeight } from "./weight-source.ts";

/** Names inside an SAE's folder, as SAELens has them. */
export const saeLensFiles = {
  config: "cfg.json",
  weights: "sae_weights.safetensors",
  sparsity: "sparsity.safetensors",
  scaler: "activation_scaler.json",
  whitening: "activation_whitening.safetensors",
} as const;

/** What the files of a repository leave out, as SAELens's list of releases has it. */
const corrections: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "JoshEngels/Mistral-7B-Residual-Stream-SAEs": { normalize_activations: "constant_norm_rescale" },
};

const scalerSchema = z.looseObject({ scaling_factor: z.number().nullish() });

/** SAELens's folders, of any version, and ours: `cfg.json` and `sae_weights.safetensors`. See {@link parseSaeLensConfig}. */
export const saeLens: SaeFormat = {
  name: "saelens",
  needs: `${saeLensFiles.config} and ${saeLensFiles.weights}`,
  async open(files, options) {
    const { config: configFile, weights: weightsFile } = saeLensFiles;
    if (files.file !== null && files.file !== weightsFile && files.file !== configFile) return null;
    if (!(await files.has(configFile))) return null;
    // Without the weights it may be sparsify's; SAELens's own config without them is a broken SAE, whose message names the file.
    if (!(await files.has(weightsFile)) && (await files.has("sae.safetensors"))) return null;
    const where = `${files.where}/${configFile}`;
    const parsed = parseSaeLensConfig(await configOf(files, configFile), where);
    return withSafetensors(files, weightsFile, options, async (source) => {
      const { metadata = {} } = options;
      const config = { ...parsed.config, metadata: { ...parsed.config.metadata, ...metadata } };
      const inputScale =
        options.inputScale ?? (parsed.scaledInput ? await scalerOf(files) : undefined);
      return {
        format: "saelens",
        config,
        folds: foldsOf(parsed),
        weights: source,
        async build(device) {
          const whitening = parsed.whitenedInput
            ? await whiteningOf(files, config.dIn, options)
            : undefined;
          const { signal } = options;
          const reading = { device, inputScale, whitening, signal };
          return readSaeLensWeights(source, { ...parsed, config }, reading);
        },
        close: () => source.close(),
      };
    });
  },
};

async function configOf(files: SaeFiles, name: string): Promise<unknown> {
  const json = await files.json(name);
  const repo = Object.keys(corrections).find((known) => files.where.startsWith(`${known}/`));
  if (repo === undefined || typeof json !== "object" || json === null) return json;
  return { ...json, ...corrections[repo] };
}

function foldsOf(parsed: SaeLensConfig): string[] {
  return [
    ...(parsed.architecture === "standard" ? ["ReLU, as a threshold of 0"] : []),
    ...(parsed.architecture === "gated" ? ["the gate, into thresholds"] : []),
    ...(parsed.threshold === "one" ? ["one threshold, repeated for each latent"] : []),
    ...(parsed.scaledInput ? ["the input's scale"] : []),
    ...(parsed.whitenedInput ? ["the input's whitening"] : []),
    ...(parsed.rescaleByDecoderNorm ? ["decoder norms, into the encoder"] : []),
    ...(parsed.fineTuned ? ["the fine-tuned scale of latents, into the decoder"] : []),
  ];
}

async function scalerOf(files: SaeFiles): Promise<number | undefined> {
  const { scaler } = saeLensFiles;
  if (!(await files.has(scaler))) return undefined;
  const parsed = scalerSchema.safeParse(await files.json(scaler));
  if (parsed.success) return parsed.data.scaling_factor ?? undefined;
  throw new FormatError({
    code: "SAE_CONFIG_INVALID",
    message: `${scaler} is not of SAELens: scaling_factor is no number`,
    fix: "get the file again, or give inputScale",
    where: files.where,
  });
}

async function whiteningOf(
  files: SaeFiles,
  dIn: number,
  options: FormatOptions,
): Promise<Whitening | undefined> {
  const { whitening } = saeLensFiles;
  if (!(await files.has(whitening))) return undefined;
  return withSafetensors(files, whitening, options, async (source) => {
    const reading = { source, signal: options.signal };
    try {
      return {
        mean: await readWeight(reading, "mean", [dIn]),
        matrix: await readWeight(reading, "matrix", [dIn, dIn]),
        inverse: await readWeight(reading, "inverse_matrix", [dIn, dIn]),
      };
    } catch (error) {
      if (LatentkitError.isInstance(error) && error.code === "TENSOR_MISSING") return undefined;
      throw error;
    } finally {
      await source.close();
    }
  });
}
