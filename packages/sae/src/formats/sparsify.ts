import { ConfigError, FormatError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues, type SaeMetadata } from "../config.ts";
import type { SaeFiles, SaeFormat } from "./format.ts";
import { planOf, withSafetensors } from "./plan.ts";
import { encoderSizes, firstOf, readLatentRows, readWeight } from "./weight-source.ts";

const weightsFile = "sae.safetensors";
const configFile = "cfg.json";

const schema = z.looseObject({
  d_in: z.int().positive(),
  k: z.int().positive(),
  activation: z.string().default("topk"),
  signed: z.boolean().default(false),
  transcode: z.boolean().default(false),
  skip_connection: z.boolean().default(false),
});

/**
 * Checkpoints of EleutherAI's sparsify: `cfg.json` and `sae.safetensors` in a folder named by its hook point, `layers.9` say. TopK, with
 * `encoder.weight`, `encoder.bias`, `W_dec [num_latents, d_in]` and `b_dec`; b_dec is subtracted from an SAE's input and not from a
 * transcoder's, and `W_skip [d_in, d_in]` is a skip connection. So says the package `eai-sparsify` itself; SAELens's converter
 * transposes W_dec and takes the subtraction from `normalize_decoder`, so that it does not load what the package writes.
 */
export const sparsify: SaeFormat = {
  name: "sparsify",
  needs: `${configFile} and ${weightsFile}`,
  async open(files, options) {
    if (files.file !== null && files.file !== weightsFile) return null;
    if (!(await files.has(weightsFile)) || !(await files.has(configFile))) return null;
    const where = `${files.where}/${configFile}`;
    const config = parseConfig(await files.json(configFile), where);
    return withSafetensors(files, weightsFile, options, async (source) => {
      const { dIn, dSae } = encoderSizes(source, "encoder.weight", "rows");
      const reading = { source, dSae, signal: options.signal };
      const bias = firstOf(source, ["b_dec", "decoder.bias"]);
      return planOf(
        {
          format: "sparsify",
          config: {
            architecture: config.signed ? "abstopk" : "topk",
            k: config.k,
            dIn,
            dSae,
            dOut: config.transcode ? dIn : null,
            applyBDecToInput: !config.transcode,
            metadata: metadataOf(files, config.transcode),
          },
          source,
          read: async () => ({
            encoderRows: await readLatentRows(reading, "encoder.weight", dIn, "rows"),
            decoder: await readLatentRows(reading, "W_dec", dIn, "rows"),
            encoderBias: await readWeight(reading, "encoder.bias", [dSae]),
            decoderBias: await readWeight(reading, bias, [dIn]),
            threshold: null,
            ...(config.skip_connection
              ? { skip: await readWeight(reading, "W_skip", [dIn, dIn]) }
              : {}),
          }),
        },
        options,
      );
    });
  },
};

function parseConfig(json: unknown, where: string): z.output<typeof schema> {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new FormatError({
      code: "SAE_CONFIG_INVALID",
      message: `this is not a configuration of sparsify: ${describeIssues(parsed.error)}`,
      fix: "give the cfg.json that sparsify wrote beside sae.safetensors",
      where,
    });
  }
  const config = parsed.data;
  const wrong =
    config.activation !== "topk"
      ? `activation "${config.activation}"`
      : config.skip_connection && !config.transcode
        ? "a skip connection of an SAE"
        : null;
  if (wrong === null) return config;
  throw new ConfigError({
    code: "SAE_UNSUPPORTED",
    message: `this sparse coder has ${wrong}, which is not supported`,
    fix: "give one with activation topk",
    where,
  });
}

/** `layers.9` reads what layer 9 gives, `layers.9.mlp` its MLP, as sparsify names hook points. */
function metadataOf(files: SaeFiles, transcode: boolean): SaeMetadata {
  const folder = files.where.split(/[\\/]/u).findLast((part) => part !== "") ?? "";
  if (folder === "embed_tokens") return { hookName: "hook_embed" };
  const [, layer, part] =
    /^(?:.*\.)?(?:layers|h)[._](\d+)(?:\.(mlp|self_attn))?$/u.exec(folder) ?? [];
  if (layer === undefined) return {};
  if (part === undefined) return { hookName: `blocks.${layer}.hook_resid_post` };
  const out = part === "mlp" ? "hook_mlp_out" : "hook_attn_out";
  // A transcoder of a module reads what goes into it.
  return transcode
    ? {
        hookName: `blocks.${layer}.ln${part === "mlp" ? 2 : 1}.hook_normalized`,
        hookNameOut: `blocks.${layer}.${out}`,
      }
    : { hookName: `blocks.${layer}.${out}` };
}
