import type { TrainConfig } from "../train/config.ts";
import { totalVariance } from "./reference-step.ts";

/** Parameters in f64 by name: `encoderRows`, `decoder`, `encoderBias`, `decoderBias`, `threshold` where there is one, and the architecture's extras. */
export type ReferenceValues = Readonly<Record<string, Float64Array>>;

/** What {@link referenceKind} computes the loss of. */
export interface ReferenceKindStep {
  readonly config: TrainConfig;
  /** `[rows, dIn]`, normalised. */
  readonly x: Float64Array;
  readonly dIn: number;
  readonly variance: number;
  /** lambda, with what p-annealing has multiplied it by. */
  readonly sparsity: number;
  /** p of p-annealing. */
  readonly p?: number;
  readonly dead?: Uint8Array | null;
  /** What stop-gradients hold: parameters for the gate's own reconstruction, and AuxK's residual. */
  readonly frozen?: { readonly values: ReferenceValues; readonly residual: Float64Array | null };
}

/** The loss of one batch, and the signature of which latents are active, by which a kink shows. */
export interface ReferenceKindResult {
  readonly loss: number;
  readonly active: string;
  readonly residual: Float64Array;
}

/**
 * The losses of Standard, Gated, p-anneal, JumpReLU with a tanh penalty (its pre-activation term on all latents), BatchTopK and Matryoshka BatchTopK in plain f64, from the papers and without any of the
 * package's operators, so that it may judge them. Slow.
 */
export function referenceKind(
  values: ReferenceValues,
  step: ReferenceKindStep,
): ReferenceKindResult {
  const { config, x, dIn, sparsity, variance } = step;
  const { dSae } = config;
  const rows = x.length / dIn;
  const get = (name: string, index: number): number => values[name]?.[index] ?? Number.NaN;
  const hidden = new Float64Array(rows * dSae).map((_, at) => {
    const [row, latent] = [Math.floor(at / dSae), at % dSae];
    let sum = 0;
    for (let c = 0; c < dIn; c++)
      sum +=
        get("encoderRows", latent * dIn + c) * ((x[row * dIn + c] ?? 0) - get("decoderBias", c));
    return sum;
  });
  const biased = (name: string, scale: (latent: number) => number = () => 1): Float64Array =>
    hidden.map((value, at) => value * scale(at % dSae) + get(name, at % dSae));
  const gate = config.architecture === "gated" ? biased("gate_bias") : null;
  const pre =
    gate === null
      ? biased("encoderBias")
      : biased("encoderBias", (latent) => Math.exp(get("magnitude_scale", latent)));
  const chosen =
    config.architecture === "batchtopk" || config.architecture === "matryoshka_batchtopk"
      ? largest(pre, Math.floor(rows * config.k))
      : null;
  const latents = pre.map((value, at) =>
    (chosen?.has(at) ?? true) &&
    (gate?.[at] ?? 1) > 0 &&
    value > (values["threshold"]?.[at % dSae] ?? 0)
      ? Math.max(0, value)
      : 0,
  );
  const residualOf = (
    codes: Float64Array,
    width: number,
    from: ReferenceValues = values,
    bias = true,
  ): Float64Array =>
    x.map((value, at) => {
      const [row, c] = [Math.floor(at / dIn), at % dIn];
      let out = bias ? (from["decoderBias"]?.[c] ?? Number.NaN) : 0;
      for (let latent = 0; latent < width; latent++)
        out +=
          (codes[row * dSae + latent] ?? 0) * (from["decoder"]?.[latent * dIn + c] ?? Number.NaN);
      return value - out;
    });
  const meanSquares = (residual: Float64Array): number =>
    residual.reduce((sum, value) => sum + value ** 2, 0) / rows;
  const meanOf = (codes: Float64Array, weigh: (value: number, latent: number) => number): number =>
    codes.reduce((sum, value, at) => sum + weigh(value, at % dSae), 0) / rows;

  const residual = residualOf(latents, dSae);
  let loss = meanSquares(residual);
  const active = [...latents.keys()].filter((at) => (latents[at] ?? 0) > 0);
  const norm = (latent: number): number =>
    Math.hypot(...Array.from({ length: dIn }, (_, c) => get("decoder", latent * dIn + c)));
  if (config.architecture === "jumprelu_tanh") {
    loss +=
      sparsity *
      meanOf(latents, (value, latent) => Math.tanh(config.tanhScale * value * norm(latent)));
    loss +=
      config.preActivationWeight *
      meanOf(pre, (value, latent) => Math.max(0, get("threshold", latent) - value) * norm(latent));
  } else if (config.architecture === "standard") {
    loss +=
      sparsity *
      meanOf(latents, (value, latent) =>
        config.decoderNorm === "free" ? value * norm(latent) : value,
      );
  } else if (config.architecture === "p_anneal") {
    loss += sparsity * meanOf(latents, (value) => (value > 0 ? value ** (step.p ?? 1) : 0));
  } else if (gate !== null) {
    const open = gate.map((value) => Math.max(0, value));
    loss += sparsity * meanOf(open, (value) => value);
    loss += meanSquares(residualOf(open, dSae, step.frozen?.values ?? values));
    active.push(...[...open.keys()].filter((at) => (open[at] ?? 0) > 0).map((at) => -1 - at));
  } else {
    const nested = config.architecture === "matryoshka_batchtopk" ? config : null;
    const widths = nested?.widths ?? [dSae];
    const weight = nested?.prefixLoss === "mean" ? 1 / widths.length : 1;
    loss = 0;
    for (const width of widths)
      loss += (weight * meanSquares(residualOf(latents, width))) / variance;
  }
  const { dead } = step;
  if (dead !== undefined && dead !== null && "auxiliaryWeight" in config) {
    const target = step.frozen?.residual ?? residual;
    const k = config.auxiliaryK ?? Math.floor(dIn / 2);
    const codes = new Float64Array(pre.length);
    for (let row = 0; row < rows; row++) {
      const own = pre
        .slice(row * dSae, (row + 1) * dSae)
        .map((value, latent) => (dead[latent] === 1 ? value : Number.NEGATIVE_INFINITY));
      for (const latent of largest(own, k)) {
        const value = own[latent] ?? 0;
        if (value <= 0) continue;
        codes[row * dSae + latent] = value;
        active.push(-1 - row * dSae - latent);
      }
    }
    const written = residualOf(codes, dSae, values, false);
    const missed = written.map((value, at) => value - (x[at] ?? 0) + (target[at] ?? 0));
    loss += (config.auxiliaryWeight * meanSquares(missed)) / totalVariance(target, dIn);
  }
  return { loss, active: active.join(), residual };
}

/** Indices of the `count` largest, the earlier of equals. */
function largest(values: Float64Array, count: number): Set<number> {
  const order = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b);
  return new Set(order.slice(0, count));
}
