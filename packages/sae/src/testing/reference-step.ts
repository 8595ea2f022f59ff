/** Parameters of an SAE in f64, rows as latents; theta is null for TopK. */
export interface ReferenceParameters {
  readonly encoderRows: Float64Array;
  readonly decoder: Float64Array;
  readonly encoderBias: Float64Array;
  readonly decoderBias: Float64Array;
  readonly threshold: Float64Array | null;
}

/** What the loss needs beside the parameters. */
export interface ReferenceLoss {
  readonly dIn: number;
  readonly dSae: number;
  /** `[rows, dIn]`, normalised. */
  readonly x: Float64Array;
  /** Keeps k latents; null for JumpReLU. */
  readonly k: number | null;
  /** Divides the squared error: 1 for JumpReLU. */
  readonly variance: number;
  /** lambda. */
  readonly sparsity: number;
  readonly auxiliary: {
    readonly weight: number;
    readonly k: number;
    readonly dead: Uint8Array;
    readonly frozen: FrozenResidual | null;
  } | null;
}

/** What the auxiliary loss treats as constant. */
export interface FrozenResidual {
  /** x - x^. */
  readonly residual: Float64Array;
  readonly variance: number;
}

/** The loss, and enough to see whether a small change of a parameter changed which latents fire. */
export interface ReferenceResult {
  readonly loss: number;
  readonly residual: Float64Array;
  readonly residualVariance: number;
  readonly latents: Float64Array;
  readonly preActivations: Float64Array;
  readonly active: string;
}

/**
 * The training loss of one batch in plain f64, written from the papers and without any of the package's operators, so that it
 * may judge them. Slow.
 */
export function referenceLoss(
  parameters: ReferenceParameters,
  options: ReferenceLoss,
): ReferenceResult {
  const { dIn, dSae, x, k } = options;
  const rows = x.length / dIn;
  const pre = new Float64Array(rows * dSae);
  const latents = new Float64Array(rows * dSae);
  const residual = new Float64Array(rows * dIn);
  const active: number[] = [];
  let squared = 0;
  let fired = 0;
  for (let row = 0; row < rows; row++) {
    for (let latent = 0; latent < dSae; latent++) {
      let sum = at(parameters.encoderBias, latent);
      for (let c = 0; c < dIn; c++)
        sum +=
          at(parameters.encoderRows, latent * dIn + c) *
          (at(x, row * dIn + c) - at(parameters.decoderBias, c));
      pre[row * dSae + latent] = sum;
    }
    const own = pre.subarray(row * dSae, (row + 1) * dSae);
    const chosen = k === null ? firing(own, parameters.threshold) : largest(own, k, null);
    for (const latent of chosen) {
      latents[row * dSae + latent] = at(own, latent);
      active.push(row * dSae + latent);
      fired += 1;
    }
    for (let c = 0; c < dIn; c++) {
      let out = at(parameters.decoderBias, c);
      for (const latent of chosen)
        out += at(latents, row * dSae + latent) * at(parameters.decoder, latent * dIn + c);
      residual[row * dIn + c] = at(x, row * dIn + c) - out;
      squared += at(residual, row * dIn + c) ** 2;
    }
  }
  let loss =
    squared / (rows * options.variance) + (k === null ? (options.sparsity * fired) / rows : 0);
  if (options.auxiliary !== null) {
    const { weight, dead, frozen } = options.auxiliary;
    const target = frozen?.residual ?? residual;
    const variance = frozen?.variance ?? totalVariance(residual, dIn);
    let squaredAux = 0;
    for (let row = 0; row < rows; row++) {
      const own = pre.subarray(row * dSae, (row + 1) * dSae);
      const chosen = largest(own, options.auxiliary.k, dead);
      for (const latent of chosen) active.push(-1 - row * dSae - latent);
      for (let c = 0; c < dIn; c++) {
        let out = 0;
        for (const latent of chosen)
          out += Math.max(0, at(own, latent)) * at(parameters.decoder, latent * dIn + c);
        squaredAux += (out - at(target, row * dIn + c)) ** 2;
      }
    }
    loss += (weight * squaredAux) / (rows * variance);
  }
  return {
    loss,
    residual,
    residualVariance: totalVariance(residual, dIn),
    latents,
    preActivations: pre,
    active: active.join(),
  };
}

/** E||v - Ev||^2 over rows. */
export function totalVariance(values: Float64Array, dIn: number): number {
  const rows = values.length / dIn;
  let total = 0;
  for (let c = 0; c < dIn; c++) {
    let mean = 0;
    for (let row = 0; row < rows; row++) mean += at(values, row * dIn + c) / rows;
    for (let row = 0; row < rows; row++) total += (at(values, row * dIn + c) - mean) ** 2 / rows;
  }
  return total;
}

function firing(pre: Float64Array, threshold: Float64Array | null): number[] {
  return [...pre.keys()].filter(
    (latent) => at(pre, latent) > at(threshold ?? new Float64Array(pre.length), latent),
  );
}

function largest(pre: Float64Array, k: number, allowed: Uint8Array | null): number[] {
  const candidates = [...pre.keys()].filter((latent) => allowed === null || allowed[latent] !== 0);
  return candidates
    .sort((a, b) => at(pre, b) - at(pre, a))
    .slice(0, k)
    .filter((latent) => at(pre, latent) > 0);
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index] ?? Number.NaN;
}
