import type { Slice } from "./storage.ts";

/** What the gradient of RMSNorm and of LayerNorm is computed from. */
export interface NormGradientPlan {
  readonly rows: number;
  readonly columns: number;
  readonly x: Slice;
  /** `[rows]` as {@link NormaliseKernels.layerNorm} gave them; null for RMSNorm, which does not centre. */
  readonly mean: Slice | null;
  /** `[rows]` as the forward kernel gave them. */
  readonly scale: Slice;
  readonly weight: Slice | null;
  /** Gradient to the output, `[rows, columns]`. */
  readonly gradient: Slice;
  /** Gradient to the scales, `[rows]`, null for none. */
  readonly scaleGradient: Slice | null;
}

/** What cross entropy does beside its definition. */
export interface CrossEntropyPlan {
  readonly rows: number;
  readonly columns: number;
  /** Rows of this target count nothing, as rows of any negative target do. */
  readonly ignoreIndex: number;
  /** Part of each target's probability that is spread evenly over all classes; 0 for none. */
  readonly labelSmoothing: number;
  /** Coefficient of `logsumexp(logits)^2`; 0 for none. */
  readonly zLoss: number;
}

/** Normalisation of rows: norms, softmax and the losses on it. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface NormaliseKernels {
  /** `scale[r] = sqrt(mean(x[r]^2) + epsilon)`, `out[r] = x[r] / scale[r] * weight`; weight and scale may be null. */
  rmsNorm(
    x: Slice,
    weight: Slice | null,
    rows: number,
    columns: number,
    epsilon: number,
    out: Slice,
    scale: Slice | null,
  ): void;
  /**
   * `scale[r] = sqrt(variance(x[r]) + epsilon)` with the variance over all columns (divided by their number),
   * `out[r] = (x[r] - mean[r]) / scale[r] * weight + bias`; weight, bias, mean and scale may be null.
   */
  layerNorm(
    x: Slice,
    weight: Slice | null,
    bias: Slice | null,
    rows: number,
    columns: number,
    epsilon: number,
    out: Slice,
    mean: Slice | null,
    scale: Slice | null,
  ): void;
  /**
   * Gradients of {@link NormaliseKernels.rmsNorm} and {@link NormaliseKernels.layerNorm}, each written only where it is not
   * null. With n = (x - mean) / scale and d = gradient * weight:
   * `dX = (d - mean(d) - n mean(d n)) / scale + scaleGradient n / columns`, without `mean(d)` where nothing was centred;
   * `dWeight = sum_r gradient n`; `dBias = sum_r gradient`.
   */
  normGradient(
    plan: NormGradientPlan,
    dX: Slice | null,
    dWeight: Slice | null,
    dBias: Slice | null,
  ): void;
  /** Row softmax with the maximum subtracted. `out` may be `x`. */
  softmaxRows(x: Slice, rows: number, columns: number, out: Slice): void;
  /** Of a row's softmax y: `dX = y (gradient - sum(gradient y))`. `dX` may be `gradient`. */
  softmaxGradientRows(y: Slice, gradient: Slice, rows: number, columns: number, dX: Slice): void;
  /** Row softmax's logarithm. `out` may be `x`. */
  logSoftmaxRows(x: Slice, rows: number, columns: number, out: Slice): void;
  /** Of a row's log-softmax y: `dX = gradient - e^y sum(gradient)`. `dX` may be `gradient`. */
  logSoftmaxGradientRows(y: Slice, gradient: Slice, rows: number, columns: number, dX: Slice): void;
  /**
   * With lse = logsumexp(logits[r]), s = labelSmoothing and t = targets[r], in nats:
   * `out[r] = lse - (1 - s) logits[r][t] - s mean(logits[r]) + zLoss lse^2`. 0 for an ignored target, NaN for one that is not
   * below `columns`. `statistics [rows, 2]`, if not null, gets each row's largest logit and the sum of `e^(logit - largest)`;
   * what it holds for rows without a valid target is undefined.
   */
  crossEntropyRows(
    logits: Slice,
    targets: Slice,
    plan: CrossEntropyPlan,
    out: Slice,
    statistics: Slice | null,
  ): void;
  /**
   * `dLogits[r] = gradient[r] ((1 + 2 zLoss lse) softmax(logits[r]) - (1 - s) onehot(t) - s / columns)`; zeros for an ignored
   * target, NaN for one that is not below `columns`. `dLogits` may be `logits`.
   */
  crossEntropyGradientRows(
    logits: Slice,
    targets: Slice,
    statistics: Slice,
    gradient: Slice,
    plan: CrossEntropyPlan,
    dLogits: Slice,
  ): void;
  /** `out [1]` = the number of targets that are not ignored, as f32. */
  countTargets(targets: Slice, rows: number, ignoreIndex: number, out: Slice): void;
}
