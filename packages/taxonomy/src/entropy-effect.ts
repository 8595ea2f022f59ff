import {
  type LongCallOptions,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import { type Device, exp, logSoftmax, matmul, mul, sum } from "@latentkit/tensor";
import { scaleColumns } from "./null-space.ts";
import type { Rows } from "./vectors.ts";

/** The model's way from the last residual stream to its logits. */
export interface FinalPath {
  readonly device: Device;
  /** `[vocabulary, d]`, raw. */
  readonly unembedding: Rows;
  /** Weight of the final RMSNorm, `[d]`. */
  readonly gain: Float32Array;
  /** Epsilon of the final RMSNorm. */
  readonly epsilon: number;
}

/** Changes of the next-token entropy, in nats, one a token. */
export interface EntropyShift {
  /** H(x + delta) - H(x) with the final norm recomputed. */
  readonly total: Float64Array;
  /** The same with each token's original norm scale kept: the direct effect on the logits. */
  readonly frozen: Float64Array;
}

/**
 * How a change of the last residual stream changes the model's entropy, through the norm and without it. A direction inside the null
 * space of the unembedding acts through the norm alone: `total` is large, `frozen` is not.
 *
 * @param residuals input of the final norm, `[n, d]`, of the last layer only
 * @param deltas what is added, `[n, d]`
 * @throws ShapeError `ENTROPY_SHAPES` when residuals and deltas differ in shape
 */
export async function entropyShift(
  path: FinalPath,
  residuals: Rows,
  deltas: Rows,
  options: LongCallOptions = {},
): Promise<EntropyShift> {
  if (residuals.count !== deltas.count || residuals.width !== deltas.width) {
    throw new ShapeError({
      code: "ENTROPY_SHAPES",
      message: `${residuals.count} residuals of ${residuals.width} and ${deltas.count} deltas of ${deltas.width}`,
      fix: "give one delta for each residual, both from the last layer",
    });
  }
  const d = residuals.width;
  const scale = Float64Array.from({ length: residuals.count }, (_, row) =>
    normScale(residuals.data.subarray(row * d, (row + 1) * d), path.epsilon),
  );
  const changed = residuals.data.map((value, index) => value + (deltas.data[index] ?? 0));
  const clean = await entropies(path, residuals.data, scale, options);
  const frozen = await entropies(path, changed, scale, options);
  const recomputed = scale.map((_, row) =>
    normScale(changed.subarray(row * d, (row + 1) * d), path.epsilon),
  );
  const total = await entropies(path, changed, recomputed, options);
  return {
    total: total.map((entropy, row) => entropy - (clean[row] ?? 0)),
    frozen: frozen.map((entropy, row) => entropy - (clean[row] ?? 0)),
  };
}

/** Effect of one latent on the entropy, averaged over tokens. */
export interface EntropyEffect {
  /** Mean of dH and of |dH| with the norm recomputed. */
  readonly total: number;
  readonly absoluteTotal: number;
  /** The same with the norm's scale frozen. */
  readonly frozen: number;
  readonly absoluteFrozen: number;
}

/**
 * Mean-ablates one latent in the last residual stream: its activation on each token is replaced by its mean over the tokens given.
 * The latent regulates entropy through the norm where `absoluteTotal` is large and `absoluteFrozen` much smaller.
 *
 * @param decoderRow w_dec of the latent, `[d]`
 * @param activations of the latent, one for each residual, 0 where it does not fire
 */
export async function entropyEffect(
  path: FinalPath,
  residuals: Rows,
  decoderRow: Float32Array,
  activations: Float32Array,
  options: LongCallOptions = {},
): Promise<EntropyEffect> {
  const mean = activations.reduce((all, value) => all + value, 0) / activations.length;
  const d = decoderRow.length;
  const data = new Float32Array(activations.length * d);
  for (const [row, activation] of activations.entries()) {
    for (let column = 0; column < d; column++) {
      data[row * d + column] = (mean - activation) * (decoderRow[column] ?? 0);
    }
  }
  const deltas = { data, count: activations.length, width: d };
  const { total, frozen } = await entropyShift(path, residuals, deltas, options);
  const average = (values: Float64Array): number =>
    values.reduce((all, value) => all + value, 0) / values.length;
  return {
    total: average(total),
    absoluteTotal: average(total.map(Math.abs)),
    frozen: average(frozen),
    absoluteFrozen: average(frozen.map(Math.abs)),
  };
}

/** 1 / RMS(x). */
function normScale(row: Float32Array, epsilon: number): number {
  let squares = 0;
  for (const value of row) squares += value * value;
  return 1 / Math.sqrt(squares / row.length + epsilon);
}

/** Entropy of the softmax of W_U (gain * x * scale), a row each. */
async function entropies(
  path: FinalPath,
  data: Float32Array,
  scale: Float64Array,
  options: LongCallOptions,
): Promise<Float64Array> {
  const { device, unembedding, gain } = path;
  const d = unembedding.width;
  const block = Math.max(1, Math.floor(4_000_000 / unembedding.count));
  const result = new Float64Array(scale.length);
  using heads = device.tensor(unembedding.data, [unembedding.count, d]);
  for (let start = 0; start < scale.length; start += block) {
    throwIfAborted(options.signal);
    const end = Math.min(scale.length, start + block);
    const rows = scaleColumns(data.subarray(start * d, end * d), gain);
    for (let index = 0; index < rows.length; index++) {
      rows[index] = (rows[index] ?? 0) * (scale[start + Math.floor(index / d)] ?? 0);
    }
    using negative = device.scope(() => {
      const logits = matmul(device.tensor(rows, [end - start, d]), heads, { transposeB: true });
      const logProbabilities = logSoftmax(logits);
      return sum(mul(exp(logProbabilities), logProbabilities), { axis: 1 });
    });
    for (const [row, value] of (await negative.floats()).entries()) result[start + row] = -value;
    await yieldToEventLoop();
  }
  return result;
}
