import { gather, logSoftmax, mean, slice, sub, type Tensor } from "@latentkit/tensor";
import { positionIn, tokenByRow } from "../places.ts";

/**
 * What is measured of a run: from logits `[rows, pos, vocabulary]` of the prompts, in their order, to a tensor of one element. `pos` is 1
 * where only the last position's logits are computed. Made of differentiable operators it serves attribution patching too.
 */
export type PatchMetric = (logits: Tensor) => Tensor;

/** Which logits a metric reads. */
export interface MetricOptions {
  /** A token for all rows, or one for each. */
  readonly target: number | readonly number[];
  /** On the `pos` axis, negative ones from the end; -1 if left out. */
  readonly position?: number | undefined;
}

/** The target's logit minus the contrast's, the mean over rows. @throws ConfigError `ANALYSIS_POSITION`, `ANALYSIS_TOKENS` */
export function logitDifference(
  options: MetricOptions & { readonly contrast: number | readonly number[] },
): PatchMetric {
  const { target, contrast, position = -1 } = options;
  return (logits) =>
    logits.device.scope(() => {
      const last = atPosition(logits, position);
      return mean(sub(picked(last, target, "target"), picked(last, contrast, "contrast")));
    });
}

/** The target's log-probability, the mean over rows. @throws ConfigError `ANALYSIS_POSITION`, `ANALYSIS_TOKENS` */
export function targetLogProbability({ target, position = -1 }: MetricOptions): PatchMetric {
  return (logits) =>
    logits.device.scope(() =>
      mean(picked(logSoftmax(atPosition(logits, position)), target, "target")),
    );
}

/** `[rows, vocabulary]`. */
function atPosition(logits: Tensor, position: number): Tensor {
  const [rows = 0, length = 0, vocabulary = 0] = logits.shape;
  const start = positionIn(position, length);
  return slice(logits, { axis: 1, start, end: start + 1 }).reshape([rows, vocabulary]);
}

/** Each row's value at its token, `[rows, 1]`. */
function picked(values: Tensor, tokens: number | readonly number[], what: string): Tensor {
  const [rows = 0, vocabulary = 0] = values.shape;
  const ids = Int32Array.from(tokenByRow(tokens, rows, vocabulary, what));
  return gather(values, values.device.tensor(ids, [rows, 1]), { axis: 1 });
}
