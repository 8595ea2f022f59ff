import { ConfigError, FormatError, formatShape, sameShape, type Shape } from "@latentkit/core";
import { encodeNpz, type NpyArray, type NpyArrayToWrite, parseNpz } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import type { SaeMetadata } from "../config.ts";
import { Sae } from "../sae.ts";
import { foldForExport } from "../train/fold.ts";
import { roundedToF16 } from "./round-weights.ts";
import { checkFinite, checkScalingFactor, type SaeDType, transposed } from "./saelens-weights.ts";

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
 * the SAE does, that is folded: b_enc' = b_enc - b_dec W_enc. The input's scale was folded when the SAE was trained.
 *
 * @returns the file's bytes; the same SAE gives the same
 * @throws ConfigError `SAE_NOT_JUMPRELU`: the format has no k; `SAE_F16_RANGE`
 *
 * @example
 * await writeFileAtomic("layer_3/width_1536/average_l0_42/params.npz", await gemmaScopeNpz(sae));
 */
export async function gemmaScopeNpz(
  sae: Sae,
  options: GemmaScopeNpzOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { dIn, dSae, applyBDecToInput, architecture } = sae.config;
  const given = await sae.weights();
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
  return encodeNpz({
    W_enc: array([dIn, dSae], transposed(weights.encoderRows, dSae, dIn)),
    W_dec: array([dSae, dIn], weights.decoder),
    b_enc: array([dSae], weights.encoderBias),
    b_dec: array([dIn], weights.decoderBias),
    threshold: array([dSae], weights.threshold),
  });
}

/** How {@link saeFromGemmaScopeNpz} reads. */
export interface GemmaScopeReadOptions {
  readonly device: Device;
  /** What messages call the file. */
  readonly where: string;
  /** The file knows no model and no site: what is known of them. */
  readonly metadata?: SaeMetadata | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An SAE of Gemma Scope's `params.npz`, or of what {@link gemmaScopeNpz} wrote. Names may be in lower case. Negative thresholds become
 * 0, since a ReLU comes first. The caller disposes the SAE.
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
  const { device, where, metadata = {}, signal } = options;
  const arrays = await parseNpz(bytes, where, { signal });
  const encoder = find(arrays, "W_enc", where);
  const [dIn = 0, dSae = 0] = encoder.shape;
  const read = (name: string, shape: Shape): Float32Array<ArrayBuffer> => {
    const array = find(arrays, name, where);
    if (!sameShape(array.shape, shape)) {
      throw new FormatError({
        code: "SAE_WEIGHTS_SHAPE",
        message: `${name} has shape ${formatShape(array.shape)}, but beside W_enc of ${formatShape(encoder.shape)} it should have ${formatShape(shape)}`,
        fix: "give the params.npz of one SAE",
        where,
      });
    }
    checkFinite(name, array.values, where);
    return array.values;
  };
  const weights = {
    encoderRows: transposed(read("W_enc", [dIn, dSae]), dIn, dSae),
    decoder: read("W_dec", [dSae, dIn]),
    encoderBias: read("b_enc", [dSae]),
    decoderBias: read("b_dec", [dIn]),
    threshold: read("threshold", [dSae]).map((value) => Math.max(value, 0)),
  };
  checkScalingFactor(arrays.get("scaling_factor")?.values, where);
  return Sae.fromWeights(device, { architecture: "jumprelu", dIn, dSae, metadata }, weights);
}

/** An array by its name, with a small W too. */
function find(arrays: ReadonlyMap<string, NpyArray>, name: string, where: string): NpyArray {
  const array = arrays.get(name) ?? arrays.get(name.replace(/^W_/u, "w_"));
  if (array !== undefined) return array;
  throw new FormatError({
    code: "TENSOR_MISSING",
    message: `there is no array "${name}" among ${[...arrays.keys()].join(", ") || "none"}`,
    fix: "give a params.npz of Gemma Scope, or one that gemmaScopeNpz wrote",
    where,
  });
}
