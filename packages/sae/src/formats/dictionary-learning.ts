import { FormatError } from "@latentkit/core";
import { didYouMean, type TorchStore } from "@latentkit/loaders";
import { z } from "zod";
import { foldGate } from "../architectures/gated.ts";
import { describeIssues, type SaeMetadata } from "../config.ts";
import type { SaeWeights } from "../weights.ts";
import type { SaeFormat } from "./format.ts";
import { type OpenedSource, planOf, withTorch } from "./plan.ts";
import {
  afterRelu,
  encoderSizes,
  firstOf,
  type LatentsAs,
  readLatentRows,
  readWeight,
} from "./weight-source.ts";

const weightsFile = "ae.pt";
const configFile = "config.json";

const classNames = [
  "AutoEncoder",
  "AutoEncoderNew",
  "GatedAutoEncoder",
  "JumpReluAutoEncoder",
  "AutoEncoderTopK",
  "BatchTopKSAE",
  "MatryoshkaBatchTopKSAE",
] as const;
type DictClass = (typeof classNames)[number];

/** Classes whose encoder does not see x - b_dec. */
const withoutInputBias: ReadonlySet<DictClass> = new Set(["AutoEncoderNew", "JumpReluAutoEncoder"]);

const schema = z.looseObject({
  trainer: z.looseObject({
    dict_class: z.string(),
    k: z.int().positive().optional(),
    layer: z.int().nonnegative().optional(),
    lm_name: z.string().optional(),
    submodule_name: z.string().nullish(),
  }),
  buffer: z.looseObject({ ctx_len: z.int().positive().optional() }).optional(),
});

/**
 * Checkpoints of dictionary_learning (saebench, lm_sae): `ae.pt`, a state dict, and `config.json` with `trainer.dict_class`. Linear
 * layers lie as torch has them, a row for each latent in the encoder and a column in the decoder; `W_enc [d_in, d_sae]` and `W_dec
 * [d_sae, d_in]` in the classes that have those.
 *
 * ReLU and Gated become JumpReLU, exactly. BatchTopK and Matryoshka use one threshold for all latents; AutoEncoderTopK stores one too, which
 * its encode ignores. Weights stay as they are stored: the package's own loader divides an AutoEncoder's decoder rows by their norms,
 * SAELens does not.
 */
export const dictionaryLearning: SaeFormat = {
  name: "dictionary-learning",
  needs: `${weightsFile} and ${configFile} with trainer.dict_class`,
  async open(files, options) {
    if (files.file !== null && files.file !== weightsFile) return null;
    if (!(await files.has(weightsFile))) return null;
    if (!(await files.has(configFile))) {
      throw new FormatError({
        code: "SAE_FILES_MISSING",
        message: `there is ${weightsFile} of dictionary_learning, but no ${configFile}, which says of which class it is`,
        fix: `get ${configFile} from where ${weightsFile} came from`,
        where: files.where,
      });
    }
    const where = `${files.where}/${configFile}`;
    const { dictClass, k, metadata } = parseConfig(await files.json(configFile), where);
    return withTorch(files, weightsFile, options, async (source) => {
      const encoder = firstOf(source, ["W_enc", "encoder.weight"]);
      const latents: LatentsAs = encoder === "W_enc" ? "columns" : "rows";
      const { dIn, dSae } = encoderSizes(source, encoder, latents);
      const common = {
        dIn,
        dSae,
        applyBDecToInput: !withoutInputBias.has(dictClass),
        metadata: { ...metadata, convertedFrom: dictClass },
      };
      return planOf(
        {
          format: "dictionary-learning",
          config:
            dictClass === "AutoEncoderTopK"
              ? { ...common, architecture: "topk", k: k ?? (await storedK(source)) ?? 0 }
              : { ...common, architecture: "jumprelu" },
          folds: foldsOf(dictClass),
          source,
          read: () => readWeights(source, dictClass, { dIn, dSae, signal: options.signal }),
        },
        options,
      );
    });
  },
};

function parseConfig(
  json: unknown,
  where: string,
): {
  readonly dictClass: DictClass;
  readonly k: number | undefined;
  readonly metadata: SaeMetadata;
} {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new FormatError({
      code: "SAE_CONFIG_INVALID",
      message: `this is not a configuration of dictionary_learning: ${describeIssues(parsed.error)}`,
      fix: "give the config.json that dictionary_learning wrote beside ae.pt",
      where,
    });
  }
  const { trainer, buffer } = parsed.data;
  const dictClass = classNames.find((name) => name === trainer.dict_class);
  if (dictClass === undefined) {
    const near = didYouMean(trainer.dict_class, classNames);
    throw new FormatError({
      code: "SAE_ARCHITECTURE_UNKNOWN",
      message: `dict_class "${trainer.dict_class}" is not known${near === null ? "" : `; did you mean "${near}"?`} Known are ${classNames.join(", ")}`,
      fix: "give an SAE of one of these classes",
      where,
    });
  }
  const metadata = {
    modelName: trainer.lm_name,
    hookName: trainer.layer === undefined ? undefined : `blocks.${trainer.layer}.hook_resid_post`,
    contextSize: buffer?.ctx_len,
  };
  return { dictClass, k: trainer.k, metadata };
}

/** The k that a state dict holds as a buffer. */
async function storedK(source: TorchStore): Promise<number | undefined> {
  return source.has("k") ? (await source.readIntegers("k"))[0] : undefined;
}

function foldsOf(dictClass: DictClass): string[] {
  if (dictClass === "GatedAutoEncoder") return ["the gate, into thresholds"];
  if (dictClass === "AutoEncoder" || dictClass === "AutoEncoderNew")
    return ["ReLU, as a threshold of 0"];
  if (dictClass === "BatchTopKSAE" || dictClass === "MatryoshkaBatchTopKSAE")
    return ["one threshold, repeated for each latent"];
  return [];
}

async function readWeights(
  source: OpenedSource,
  dictClass: DictClass,
  sizes: { readonly dIn: number; readonly dSae: number; readonly signal?: AbortSignal | undefined },
): Promise<SaeWeights> {
  const { dIn, dSae, signal } = sizes;
  const reading = { source, dSae, signal };
  const vector = (names: readonly string[], length = dSae): Promise<Float32Array<ArrayBuffer>> =>
    readWeight(reading, firstOf(source, names), [length]);
  const encoder = firstOf(source, ["W_enc", "encoder.weight"]);
  const decoder = firstOf(source, ["W_dec", "decoder.weight"]);
  const gated = dictClass === "GatedAutoEncoder";
  const weights: SaeWeights = {
    encoderRows: await readLatentRows(
      reading,
      encoder,
      dIn,
      encoder === "W_enc" ? "columns" : "rows",
    ),
    decoder: await readLatentRows(reading, decoder, dIn, decoder === "W_dec" ? "rows" : "columns"),
    encoderBias: await vector(gated ? ["mag_bias"] : ["b_enc", "encoder.bias"]),
    decoderBias: await vector(["b_dec", "bias", "decoder_bias", "decoder.bias"], dIn),
    threshold: await thresholdOf(source, dictClass, dSae, signal),
  };
  if (!gated) return weights;
  return foldGate(weights, {
    gateBias: await vector(["gate_bias"]),
    magnitudeScale: await vector(["r_mag"]),
  });
}

async function thresholdOf(
  source: OpenedSource,
  dictClass: DictClass,
  dSae: number,
  signal?: AbortSignal,
): Promise<Float32Array | null> {
  if (dictClass === "AutoEncoderTopK") return null;
  if (dictClass === "JumpReluAutoEncoder")
    return afterRelu(await readWeight({ source, signal }, "threshold", [dSae]));
  if (dictClass !== "BatchTopKSAE" && dictClass !== "MatryoshkaBatchTopKSAE")
    return new Float32Array(dSae);
  // Below 0 until training has seen a batch.
  const [one = 0] = await readWeight({ source, signal }, "threshold", []);
  return new Float32Array(dSae).fill(Math.max(0, one));
}
