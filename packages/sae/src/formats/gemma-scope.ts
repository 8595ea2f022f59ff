import { ConfigError, type Shape } from "@latentkit/core";
import {
  bytesSource,
  encodeNpz,
  type NpyArrayToWrite,
  type NpzStore,
  openNpz,
} from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import type { SaeMetadata } from "../config.ts";
import type { Sae } from "../sae.ts";
import { foldForExport } from "../train/fold.ts";
import type { SaeWeights } from "../weights.ts";
import type { FormatOptions, SaeFormat, SaePlan } from "./format.ts";
import { gemmaScopeSource } from "./gemma-scope-source.ts";
import { planOf } from "./plan.ts";
import { roundedToF16 } from "./round-weights.ts";
import { checkScalingFactor, type SaeDType } from "./saelens-weights.ts";
import {
  afterRelu,
  encoderSizes,
  firstOf,
  readLatentRows,
  readWeight,
  transposed,
} from "./weight-source.ts";

/** The file's name in the folder of an SAE. */
export const gemmaScopeFile = "params.npz";

/** How {@link gemmaScopeNpz} writes. */
export interface GemmaScopeNpzOptions {
  /** `"f32"`, as published, unless told. */
  readonly dtype?: SaeDType | undefined;
}

/**
 * A JumpReLU SAE as Gemma Scope publishes them: `params.npz` with W_enc `[d_in, d_sae]`, b_enc, W_dec `[d_sae, d_in]`, b_dec and
 * threshold. Its forward pass (2408.05147, appendix A) never subtracts b_dec from the input, `f = JumpReLU(x W_enc + b_enc)`, so where
 * the SAE does, that is folded: b_enc' = b_enc - b_dec W_enc. The input's scale was folded when the SAE was trained. A transcoder's arrays
 * are called w_enc and w_dec, as in the published ones.
 *
 * @returns the file's bytes; the same SAE gives the same
 * @throws ConfigError `SAE_NOT_JUMPRELU`: the format has no k; `SAE_NOT_PLAIN`: it has no skip connection and no normalisation of tokens;
 *   `SAE_F16_RANGE`
 *
 * @example
 * await writeFileAtomic("layer_3/width_1536/average_l0_42/params.npz", await gemmaScopeNpz(sae));
 */
export async function gemmaScopeNpz(
  sae: Sae,
  options: GemmaScopeNpzOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { dIn, dSae, dOut, applyBDecToInput, architecture, normalizeActivations } = sae.config;
  const given = await sae.weights();
  const beyond =
    normalizeActivations !== "none"
      ? `normalises each token (${normalizeActivations})`
      : sae.skip === null
        ? null
        : "has a skip connection";
  if (beyond !== null) {
    throw new ConfigError({
      code: "SAE_NOT_PLAIN",
      message: `Gemma Scope's params.npz has no place for an SAE that ${beyond}`,
      fix: "write it with saveSae, which has",
    });
  }
  const folded = applyBDecToInput ? foldForExport(given, 1) : given;
  const weights = options.dtype === "f16" ? roundedToF16(folded) : folded;
  if (weights.threshold === null) {
    throw new ConfigError({
      code: "SAE_NOT_JUMPRELU",
      message: `Gemma Scope's params.npz holds a JumpReLU SAE, but this one is ${architecture}`,
      fix: "write it with saveSae, which has a place for k",
    });
  }
  const array = (shape: Shape, values: Float32Array): NpyArrayToWrite => ({
    dtype: options.dtype,
    shape,
    values,
  });
  const letter = dOut === null ? "W" : "w";
  return encodeNpz({
    [`${letter}_enc`]: array([dIn, dSae], transposed(weights.encoderRows, dSae, dIn)),
    [`${letter}_dec`]: array([dSae, sae.dOut], weights.decoder),
    b_enc: array([dSae], weights.encoderBias),
    b_dec: array([sae.dOut], weights.decoderBias),
    threshold: array([dSae], weights.threshold),
  });
}

/** How {@link saeFromGemmaScopeNpz} reads. */
export interface GemmaScopeReadOptions {
  readonly device: Device;
  /** What messages call the file. Where it is a path in Gemma Scope's repositories, it says model, site and kind too. */
  readonly where: string;
  /** The file knows no model and no site: what is known of them. */
  readonly metadata?: SaeMetadata | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An SAE or transcoder of Gemma Scope's `params.npz`, or of what {@link gemmaScopeNpz} wrote. Names may be in lower case. Negative
 * thresholds become 0, since a ReLU comes first. SAEs of embeddings (`embedding` in the path) were trained on embeddings that the model had
 * scaled: W_enc is divided and W_dec multiplied by sqrt(d_in), as SAELens does. The caller disposes the SAE.
 *
 * @throws FormatError `NPZ_ARCHIVE`, `NPY_HEADER`, `NPY_TYPE`, `NPY_SIZE`, `TENSOR_MISSING`, `SAE_WEIGHTS_SHAPE`,
 *   `SAE_WEIGHTS_NOT_FINITE`; ConfigError `SAE_UNSUPPORTED` for fine-tuned scaling factors
 *
 * @example
 * using sae = await saeFromGemmaScopeNpz(bytes, { device, where: "params.npz" });
 */
export async function saeFromGemmaScopeNpz(
  bytes: Uint8Array<ArrayBuffer>,
  options: GemmaScopeReadOptions,
): Promise<Sae> {
  const { where, device, signal } = options;
  const plan = planNpz(await openNpz(bytesSource(bytes, where), signal), where, options);
  return plan.build(device);
}

/** `params.npz` of Gemma Scope (2408.05147), in a folder `layer_L/width_W/average_l0_N`: see {@link saeFromGemmaScopeNpz}. */
export const gemmaScope: SaeFormat = {
  name: "gemma-scope",
  needs: gemmaScopeFile,
  async open(files, options) {
    const file = files.file ?? gemmaScopeFile;
    if (!file.toLowerCase().endsWith(".npz") || !(await files.has(file))) return null;
    const source = await files.open(file);
    try {
      const store = await openNpz(source, options.signal);
      return planNpz(store, `${files.where}/${file}`, options);
    } catch (error) {
      await source.close();
      throw error;
    }
  },
};

function planNpz(source: NpzStore, path: string, options: FormatOptions): SaePlan {
  const { embedding, transcoder, metadata, hookZ } = gemmaScopeSource(path);
  const [encoder, decoder] = [
    firstOf(source, ["W_enc", "w_enc"]),
    firstOf(source, ["W_dec", "w_dec"]),
  ];
  const { dIn, dSae } = encoderSizes(source, encoder, "columns");
  const written = source.info(decoder).shape[1] ?? dIn;
  const dOut = transcoder ? written : null;
  const reading = { source, dSae, signal: options.signal };
  const read = async (): Promise<SaeWeights> => {
    const scale = embedding ? Math.sqrt(dIn) : 1;
    const [rows, columns] = [
      await readLatentRows(reading, encoder, dIn, "columns"),
      await readLatentRows(reading, decoder, dOut ?? dIn, "rows"),
    ];
    const scaling = "scaling_factor";
    const factors = source.has(scaling) ? await source.readFloats(scaling) : undefined;
    const weights = {
      encoderRows: embedding ? rows.map((value) => value / scale) : rows,
      decoder: embedding ? columns.map((value) => value * scale) : columns,
      encoderBias: await readWeight(reading, "b_enc", [dSae]),
      decoderBias: await readWeight(reading, "b_dec", [dOut ?? dIn]),
      threshold: afterRelu(await readWeight(reading, "threshold", [dSae])),
    };
    checkScalingFactor(factors, source.name);
    return weights;
  };
  return planOf(
    {
      format: "gemma-scope",
      config: {
        architecture: "jumprelu",
        dIn,
        dSae,
        dOut,
        reshapeActivations: hookZ ? "hook_z" : "none",
        metadata,
      },
      folds: embedding ? ["the model's scale of embeddings, sqrt(d_in)"] : [],
      source,
      read,
    },
    options,
  );
}
