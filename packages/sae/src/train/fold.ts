import type { SaeConfig } from "../config.ts";
import type { SaeWeights } from "../weights.ts";
import type { StreamLayout } from "./layout.ts";
import { type InputStatistics, scalesOf } from "./normalise.ts";
import type { InferenceForm } from "./training-architecture.ts";

/**
 * Folds the input's scale C and the pre-encoder bias away, so that the result reads raw activations and needs neither
 * (Gemma Scope, appendix A): b_enc' = C b_enc - C W_enc b_dec, b_dec' = C b_dec, theta' = C theta; W_enc and W_dec stay, and
 * latents come out in units of the raw activations. In f64.
 *
 * @param weights as trained: on x / C, with b_dec subtracted from the encoder's input
 */
export function foldForExport(weights: SaeWeights, scale: number): SaeWeights {
  const { encoderRows, encoderBias, decoderBias } = weights;
  const dIn = decoderBias.length;
  // Rounded to f32 once, after both steps.
  const centred = encoderBias.map((bias, latent) => {
    let through = 0;
    for (let column = 0; column < dIn; column++)
      through += (encoderRows[latent * dIn + column] ?? 0) * (decoderBias[column] ?? 0);
    return scale * (bias - through);
  });
  return { ...foldScale(weights, scale), encoderBias: centred };
}

/** The same for weights whose b_dec is not, or stays, subtracted from the encoder's input: their biases and theta times C. */
export function foldScale(weights: SaeWeights, scale: number): SaeWeights {
  const times = (values: Float32Array): Float32Array => values.map((value) => scale * value);
  return {
    ...weights,
    encoderBias: times(weights.encoderBias),
    decoderBias: times(weights.decoderBias),
    threshold: weights.threshold === null ? null : times(weights.threshold),
  };
}

/**
 * Folds a transcoder's two scales away: with x / C the input and y / D the target of training, W_enc' = (D / C) W_enc, b_enc' = D b_enc,
 * theta' = D theta, b_dec' = D b_dec, W_skip' = (D / C) W_skip; W_dec stays, and latents come out in units of the target.
 */
export function foldTranscoder(weights: SaeWeights, input: number, target: number): SaeWeights {
  const ratio = target / input;
  const times = (values: Float32Array): Float32Array =>
    ratio === 1 ? values : values.map((value) => ratio * value);
  const skip = weights.skip ?? null;
  return {
    ...foldScale(weights, target),
    encoderRows: times(weights.encoderRows),
    skip: skip === null ? null : times(skip),
  };
}

/**
 * Folds a crosscoder's scales away, one for each group of columns: W_enc's columns over C_s, W_dec's and b_dec's times C_s. Latents, b_enc
 * and theta stay in units of the normalised activations.
 */
export function foldSites(
  weights: SaeWeights,
  groups: readonly number[],
  scales: readonly number[],
): SaeWeights {
  const columns = groups.flatMap((width, group) =>
    Array.from({ length: width }, () => scales[group] ?? 1),
  );
  const at = (index: number): number => columns[index % columns.length] ?? 1;
  return {
    ...weights,
    encoderRows: weights.encoderRows.map((value, index) => value / at(index)),
    decoder: weights.decoder.map((value, index) => value * at(index)),
    decoderBias: weights.decoderBias.map((value, index) => value * at(index)),
  };
}

/**
 * The weights of a form for inference on raw activations, with what its configuration needs to say beside `dSae` and metadata.
 *
 * @param form in units of the normalised activations
 */
export function foldForm(
  form: InferenceForm,
  layout: StreamLayout,
  statistics: InputStatistics,
): {
  readonly kind: InferenceForm["kind"] & Pick<SaeConfig, "dIn" | "dOut">;
  readonly weights: SaeWeights;
} {
  const { kind, weights } = form;
  const { scale } = statistics;
  const { dIn } = layout;
  // The encoder of matching pursuit is its decoder: b_dec cannot go into a bias.
  if (kind.architecture === "matching_pursuit") {
    const residualThreshold = kind.residualThreshold * scale;
    return {
      kind: { ...kind, residualThreshold, dIn, dOut: null },
      weights: foldScale(weights, scale),
    };
  }
  const scales = scalesOf(statistics);
  if (layout.transcoder)
    return {
      kind: { ...kind, dIn, dOut: layout.dOut },
      weights: foldTranscoder(weights, scale, scales[1] ?? scale),
    };
  return {
    kind: { ...kind, dIn, dOut: null },
    weights: layout.centred
      ? foldForExport(weights, scale)
      : foldSites(weights, layout.groups, scales),
  };
}
