import { ConfigError, FormatError, formatShape } from "@latentkit/core";
import type { TorchStore } from "@latentkit/loaders";
import { z } from "zod";
import type { SaeConfigInput, SaeMetadata } from "../config.ts";
import type { FormatOptions, SaeFiles, SaeFormat, SaeFormatName, SaePlan } from "./format.ts";
import { type PlanParts, planOf, withTorch } from "./plan.ts";
import { encoderSizes, type LatentsAs, readLatentRows, readWeight } from "./weight-source.ts";

const torchFile = /\.(?:pt|pth)$/iu;

/** Where the weights of an SAE are in a torch file. */
interface Layout {
  readonly encoder: string;
  readonly decoder: string;
  readonly encoderBias: string;
  readonly decoderBias: string;
  readonly encoderLatents: LatentsAs;
  readonly decoderLatents: LatentsAs;
}

const linear = (encoder: string, decoder: string): Layout => ({
  encoder: `${encoder}.weight`,
  decoder: `${decoder}.weight`,
  encoderBias: `${encoder}.bias`,
  decoderBias: `${decoder}.bias`,
  encoderLatents: "rows",
  decoderLatents: "columns",
});
const matrices = (encoderLatents: LatentsAs, decoderLatents: LatentsAs): Layout => ({
  encoder: "W_enc",
  decoder: "W_dec",
  encoderBias: "b_enc",
  decoderBias: "b_dec",
  encoderLatents,
  decoderLatents,
});

/** Goodfire's files: one `.pt` or `.pth`, `encoder_linear` and `decoder_linear`, ReLU, b_dec not subtracted from the input. */
export const goodfire: SaeFormat = torchFormat(
  "goodfire",
  "one .pt or .pth file with encoder_linear.weight",
  async (store, files, options) =>
    store.has("encoder_linear.weight")
      ? reluPlan(
          "goodfire",
          store,
          linear("encoder_linear", "decoder_linear"),
          options,
          goodfireSite(files),
        )
      : null,
);

/** DeepSeek-R1's SAEs by qresearch: `encoder` and `decoder` as torch's linear layers, ReLU, b_dec not subtracted from the input. */
export const deepseekR1: SaeFormat = torchFormat(
  "deepseek-r1",
  "one .pt file with encoder.weight and decoder.bias",
  async (store, files, options) => {
    if (!store.has("encoder.weight") || !store.has("decoder.bias")) return null;
    const name = files.file ?? "";
    const layer = /-l(\d+)\.pt$/u.exec(name)?.[1];
    const metadata = name.includes("DeepSeek-R1-Distill-Llama-8B")
      ? { modelName: "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", ...residual(layer) }
      : residual(layer);
    return reluPlan("deepseek-r1", store, linear("encoder", "decoder"), options, metadata);
  },
);

/**
 * Qwen Scope: `layerN.sae.pt` in a repository named `..-W32K-L0_50`. TopK with W_enc `[d_sae, d_in]` and W_dec `[d_in, d_sae]`; b_dec is not
 * subtracted from the input. k is in the repository's name alone.
 */
export const qwenScope: SaeFormat = torchFormat(
  "qwen-scope",
  "one .pt file with W_enc [d_sae, d_in], and k by the repository's name (..-L0_50) or the option k",
  async (store, files, options) => {
    if (!store.has("W_enc") || !store.has("b_enc")) return null;
    const [latents] = store.info("b_enc").shape;
    if (store.info("W_enc").shape[0] !== latents) return null;
    const layout = matrices("rows", "columns");
    const { dIn, dSae } = encoderSizes(store, layout.encoder, layout.encoderLatents);
    const [, model, k = options.k] = /SAE-Res-(.+)-W\d+K-L0_(\d+)/u.exec(files.where) ?? [];
    if (k === undefined) {
      throw new ConfigError({
        code: "SAE_K_UNKNOWN",
        message: "this is a TopK SAE in a torch file, which does not say how many latents are kept",
        fix: "give k, or keep the file in a folder named as its repository is, ..-W32K-L0_50",
        where: store.name,
      });
    }
    const layer = /layer(\d+)\.sae\.pt$/u.exec(files.file ?? "")?.[1];
    const metadata = {
      ...(model === undefined ? {} : { modelName: `Qwen/${model}` }),
      ...residual(layer),
    };
    const config: SaeConfigInput = { architecture: "topk", k: Number(k), dIn, dSae, metadata };
    return torchPlan({ format: "qwen-scope", config }, store, layout, options);
  },
);

const attentionSchema = z.looseObject({
  act_size: z.int().positive(),
  dict_size: z.int().positive(),
  act_name: z.string(),
});

/** Attention SAEs of GPT-2 by Kissane and others: `NAME.pt` beside `NAME_cfg.json`, SAELens's names and orientation, on flattened hook_z. */
export const attentionSaes: SaeFormat = torchFormat(
  "attn-saes",
  "NAME.pt with W_enc [d_in, d_sae], and NAME_cfg.json",
  async (store, files, options) => {
    const configFile = (files.file ?? "").replace(/\.pt$/u, "_cfg.json");
    if (!store.has("W_enc") || !configFile.endsWith("_cfg.json") || !(await files.has(configFile)))
      return null;
    const parsed = attentionSchema.safeParse(await files.json(configFile));
    if (!parsed.success) return null;
    const { act_size: dIn, dict_size: dSae, act_name: hookName } = parsed.data;
    const config: SaeConfigInput = {
      architecture: "jumprelu",
      dIn,
      dSae,
      applyBDecToInput: true,
      reshapeActivations: "hook_z",
      metadata: {
        modelName: "gpt2",
        hookName,
        contextSize: 128,
        prependBos: true,
        convertedFrom: "standard",
      },
    };
    const parts = { format: "attn-saes", config, folds: ["ReLU, as a threshold of 0"] } as const;
    return torchPlan(parts, store, matrices("columns", "rows"), options);
  },
);

/** A format of one torch file, which is named or the only one of its folder. */
function torchFormat(
  name: SaeFormatName,
  needs: string,
  open: (store: TorchStore, files: SaeFiles, options: FormatOptions) => Promise<SaePlan | null>,
): SaeFormat {
  return {
    name,
    needs,
    async open(files, options) {
      const only = (files.names ?? []).filter(
        (path) => torchFile.test(path) && !path.includes("/"),
      );
      const file = files.file ?? (only.length === 1 ? only[0] : undefined);
      if (file === undefined || !torchFile.test(file) || !(await files.has(file))) return null;
      return withTorch(files, file, options, async (store) => {
        const plan = await open(store, { ...files, file }, options);
        if (plan === null) await store.close();
        return plan;
      });
    },
  };
}

function reluPlan(
  format: SaeFormatName,
  store: TorchStore,
  layout: Layout,
  options: FormatOptions,
  metadata: SaeMetadata,
): SaePlan {
  const { dIn, dSae } = encoderSizes(store, layout.encoder, layout.encoderLatents);
  const config: SaeConfigInput = {
    architecture: "jumprelu",
    dIn,
    dSae,
    metadata: { ...metadata, convertedFrom: "standard" },
  };
  return torchPlan(
    { format, config, folds: ["ReLU, as a threshold of 0"] },
    store,
    layout,
    options,
  );
}

function torchPlan(
  parts: Omit<PlanParts, "read" | "source">,
  source: TorchStore,
  layout: Layout,
  options: FormatOptions,
): SaePlan {
  const { architecture, dIn, dSae } = parts.config;
  const reading = { source, dSae, signal: options.signal };
  const { shape } = source.info(layout.encoder);
  if (!shape.includes(dIn) || !shape.includes(dSae)) {
    throw new FormatError({
      code: "SAE_WEIGHTS_SHAPE",
      message: `${layout.encoder} has shape ${formatShape(shape)}, but the configuration says ${dIn} activations and ${dSae} latents`,
      fix: "give a configuration and weights of the same SAE",
      where: source.name,
    });
  }
  const read = async () => ({
    encoderRows: await readLatentRows(reading, layout.encoder, dIn, layout.encoderLatents),
    decoder: await readLatentRows(reading, layout.decoder, dIn, layout.decoderLatents),
    encoderBias: await readWeight(reading, layout.encoderBias, [dSae]),
    decoderBias: await readWeight(reading, layout.decoderBias, [dIn]),
    threshold: architecture === "jumprelu" ? new Float32Array(dSae) : null,
  });
  return planOf({ ...parts, source, read }, options);
}

/** `Llama-3.1-8B-Instruct-SAE-l19.pth`. */
function goodfireSite({ file }: SaeFiles): SaeMetadata {
  const [, model, layer] = /^(.+)-SAE-l(\d+)\.pth?$/u.exec(file ?? "") ?? [];
  return model === undefined ? {} : { modelName: `meta-llama/${model}`, ...residual(layer) };
}

function residual(layer: string | undefined): SaeMetadata {
  return layer === undefined ? {} : { hookName: `blocks.${layer}.hook_resid_post` };
}
