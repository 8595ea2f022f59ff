import { ConfigError, FormatError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues } from "../config.ts";
import { foldInputScale } from "./fold.ts";
import type { FormatOptions, SaeFiles, SaeFormat, SaePlan } from "./format.ts";
import { type OpenedSource, planOf, withSafetensors } from "./plan.ts";
import { afterRelu, encoderSizes, readLatentRows, readWeight } from "./weight-source.ts";

const configFile = "hyperparams.json";
const weightsFile = "checkpoints/final.safetensors";
/** Of later releases (R1 Distill). */
const laterConfigFile = "config.json";
const laterWeightsFile = "sae_weights.safetensors";
const logThreshold = "log_jumprelu_threshold";

const schema = z.looseObject({
  d_model: z.int().positive(),
  hook_point_in: z.string(),
  jump_relu_threshold: z.number(),
  dataset_average_activation_norm: z.looseObject({ in: z.number().positive() }),
});
const laterSchema = z.looseObject({ d_model: z.int().positive(), hook_point_in: z.string() });

/**
 * Llama Scope (2410.20526): `hyperparams.json` and `checkpoints/final.safetensors`, or `config.json` and `sae_weights.safetensors` of
 * Llama Scope R1 Distill; layers as torch has them. Inputs are scaled by s = sqrt(d_in) / (mean norm of the data), which is folded as SAELens
 * does: W_enc *= s, W_dec /= s, b_dec /= s. The first kind has one threshold for all latents, which SAELens multiplies by s; the second
 * has log thresholds, and its s is not in its files.
 */
export const llamaScope: SaeFormat = {
  name: "llama-scope",
  needs: `${configFile} and ${weightsFile}, or ${laterConfigFile} and ${laterWeightsFile} with ${logThreshold}`,
  async open(files, options) {
    if (files.file !== null) return null;
    if ((await files.has(configFile)) && (await files.has(weightsFile)))
      return openFirst(files, options);
    if (!(await files.has(laterConfigFile)) || !(await files.has(laterWeightsFile))) return null;
    return openLater(files, options);
  },
};

async function openFirst(files: SaeFiles, options: FormatOptions): Promise<SaePlan> {
  const config = parse(schema, await files.json(configFile), `${files.where}/${configFile}`);
  const norm = config.dataset_average_activation_norm.in;
  const scale = options.inputScale ?? Math.sqrt(config.d_model) / norm;
  return withSafetensors(files, weightsFile, options, async (source) => {
    const { dSae } = encoderSizes(source, "encoder.weight", "rows");
    const threshold = Math.max(0, config.jump_relu_threshold * scale);
    return planFor(source, config, options, scale, async () =>
      new Float32Array(dSae).fill(threshold),
    );
  });
}

async function openLater(files: SaeFiles, options: FormatOptions): Promise<SaePlan | null> {
  return withSafetensors(files, laterWeightsFile, options, async (source) => {
    if (!source.has(logThreshold)) {
      await source.close();
      return null;
    }
    const where = `${files.where}/${laterConfigFile}`;
    const config = parse(laterSchema, await files.json(laterConfigFile), where);
    const { inputScale } = options;
    if (inputScale === undefined || !(inputScale > 0)) {
      throw new ConfigError({
        code: "SAE_INPUT_SCALE_UNKNOWN",
        message:
          "this SAE was trained on inputs scaled by sqrt(d_in) / mean norm, and the factor is not in its files",
        fix: "pass inputScale: SAELens's list of releases has it as norm_scaling_factor",
        where: files.where,
      });
    }
    return planFor(source, config, options, inputScale, async (dSae) => {
      const logs = await readWeight({ source, signal: options.signal }, logThreshold, [dSae]);
      return afterRelu(logs.map(Math.exp));
    });
  });
}

function planFor(
  source: OpenedSource,
  { hook_point_in: hookName }: z.output<typeof laterSchema>,
  options: FormatOptions,
  scale: number,
  threshold: (dSae: number) => Promise<Float32Array>,
): SaePlan {
  const { dIn, dSae } = encoderSizes(source, "encoder.weight", "rows");
  const reading = { source, dSae, signal: options.signal };
  return planOf(
    {
      format: "llama-scope",
      config: {
        architecture: "jumprelu",
        dIn,
        dSae,
        metadata: {
          modelName: "meta-llama/Llama-3.1-8B",
          hookName,
          contextSize: 1024,
          prependBos: true,
        },
      },
      folds: [`the input's scale, ${scale}`],
      source,
      read: async () =>
        foldInputScale(
          {
            encoderRows: await readLatentRows(reading, "encoder.weight", dIn, "rows"),
            decoder: await readLatentRows(reading, "decoder.weight", dIn, "columns"),
            encoderBias: await readWeight(reading, "encoder.bias", [dSae]),
            decoderBias: await readWeight(reading, "decoder.bias", [dIn]),
            threshold: await threshold(dSae),
          },
          scale,
        ),
    },
    options,
  );
}

function parse<T>(form: z.ZodType<T>, json: unknown, where: string): T {
  const parsed = form.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "SAE_CONFIG_INVALID",
    message: `this is not a configuration of Llama Scope: ${describeIssues(parsed.error)}`,
    fix: "get the files of the SAE again",
    where,
  });
}
