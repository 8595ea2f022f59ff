import { FormatError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues, type SaeMetadata } from "../config.ts";
import type { FormatOptions, SaeFiles, SaeFormat, SaePlan } from "./format.ts";
import { type OpenedSource, planOf, withSafetensors } from "./plan.ts";
import {
  afterRelu,
  encoderSizes,
  readLatentRows,
  readWeight,
  transposed,
} from "./weight-source.ts";

const weightsFile = "params.safetensors";
const configFile = "config.json";

const schema = z.looseObject({
  architecture: z.literal("jump_relu"),
  model_name: z.string().optional(),
  hf_hook_point_in: z.string().optional(),
  hf_hook_point_out: z.string().nullish(),
});

/**
 * Gemma Scope 2 (Gemma 3): `params.safetensors` with w_enc `[d_in, d_sae]`, w_dec `[d_sae, d_out]`, b_enc, b_dec and threshold, and
 * `affine_skip_connection [d_in, d_out]` where a transcoder has one; `config.json` may be absent. Model, site and kind are in the path,
 * `google/gemma-scope-2-4b-pt/resid_post/layer_17_width_16k_l0_big`.
 *
 * Cross-layer transcoders, `clt/.../params_layer_9.safetensors` with w_dec `[d_sae, layers, d_out]`, are refused: summed over layers, as
 * SAELens does, their decoder reconstructs nothing.
 */
export const gemmaScope2: SaeFormat = {
  name: "gemma-scope-2",
  needs: `${weightsFile}, and ${configFile} where there is one`,
  async open(files, options) {
    const file = files.file ?? weightsFile;
    if (!file.endsWith(".safetensors") || !(await files.has(file))) return null;
    const config = (await files.has(configFile)) ? await files.json(configFile) : null;
    return withSafetensors(files, file, options, async (source) => {
      if (!source.has("w_enc") || !source.has("threshold")) {
        await source.close();
        return null;
      }
      checkDecoder(source);
      return planFor(source, files, config, options);
    });
  },
};

function planFor(
  source: OpenedSource,
  files: SaeFiles,
  json: unknown,
  options: FormatOptions,
): SaePlan {
  const { transcoder, metadata } = siteOf(files.where);
  const affine = source.has("affine_skip_connection");
  const { dIn, dSae } = encoderSizes(source, "w_enc", "columns");
  const written = source.info("w_dec").shape[1] ?? dIn;
  const dOut = transcoder || affine ? written : null;
  const reading = { source, dSae, signal: options.signal };
  return planOf(
    {
      format: "gemma-scope-2",
      config: {
        architecture: "jumprelu",
        dIn,
        dSae,
        dOut,
        metadata: { ...metadata, ...fromConfig(json, `${files.where}/${configFile}`) },
      },
      source,
      read: async () => ({
        encoderRows: await readLatentRows(reading, "w_enc", dIn, "columns"),
        decoder: await readLatentRows(reading, "w_dec", dOut ?? dIn, "rows"),
        encoderBias: await readWeight(reading, "b_enc", [dSae]),
        decoderBias: await readWeight(reading, "b_dec", [dOut ?? dIn]),
        threshold: afterRelu(await readWeight(reading, "threshold", [dSae])),
        ...(affine
          ? {
              skip: transposed(
                await readWeight(reading, "affine_skip_connection", [dIn, written]),
                dIn,
                written,
              ),
            }
          : {}),
      }),
    },
    options,
  );
}

/** What the path says. Its own names of sites are those of Hugging Face's modules, which `hfHookName` keeps. */
function siteOf(path: string): { readonly transcoder: boolean; readonly metadata: SaeMetadata } {
  const parts = path.split(/[\\/]/u);
  const kind = parts
    .map((part) => /^(resid_post|attn_out|mlp_out|transcoder)(?:_all)?$/u.exec(part)?.[1])
    .find((found) => found !== undefined);
  const layer = /layer_(\d+)/u.exec(parts.findLast((part) => part.includes("layer_")) ?? "")?.[1];
  const release = parts
    .map((part) => /^gemma-scope-2-(\w+)-(pt|it)$/u.exec(part))
    .find((m) => m !== null);
  const transcoder = kind === "transcoder";
  const [, size, tuning] = release ?? [];
  // As on the hub: the smallest pre-trained model has no suffix.
  const suffix = size === "270m" && tuning === "pt" ? "" : `-${tuning ?? ""}`;
  const model = size === undefined ? {} : { modelName: `google/gemma-3-${size}${suffix}` };
  if (kind === undefined || layer === undefined) return { transcoder, metadata: model };
  const block = `blocks.${layer}`;
  const hookName = {
    resid_post: `${block}.hook_resid_post`,
    attn_out: `${block}.attn.hook_z`,
    mlp_out: `${block}.hook_mlp_out`,
    transcoder: `${block}.hook_mlp_in`,
  }[kind];
  return {
    transcoder,
    metadata: {
      ...model,
      hookName,
      ...(transcoder ? { hookNameOut: `${block}.hook_mlp_out` } : {}),
      contextSize: 1024,
      prependBos: true,
    },
  };
}

function fromConfig(json: unknown, where: string): SaeMetadata {
  if (json === null) return {};
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new FormatError({
      code: "SAE_CONFIG_INVALID",
      message: `this is not a configuration of Gemma Scope 2: ${describeIssues(parsed.error)}`,
      fix: "give the config.json that lies beside params.safetensors, or none",
      where,
    });
  }
  const { hf_hook_point_in: hfHookName, hf_hook_point_out: hfHookNameOut } = parsed.data;
  return {
    ...(hfHookName === undefined ? {} : { hfHookName }),
    ...(hfHookNameOut === undefined || hfHookNameOut === null ? {} : { hfHookNameOut }),
  };
}

/** A cross-layer transcoder writes into each later layer, which one SAE cannot. */
function checkDecoder(source: OpenedSource): void {
  if (source.info("w_dec").shape.length !== 3) return;
  throw new FormatError({
    code: "SAE_ARCHITECTURE_UNKNOWN",
    message: "this is a cross-layer transcoder, whose latents write into several layers",
    fix: "give a per-layer transcoder, of the folder transcoder_all",
    where: source.name,
  });
}
