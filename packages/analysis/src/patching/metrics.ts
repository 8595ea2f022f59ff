import { ShapeError } from "@latentkit/core";
import { crossEntropy, gather, logSoftmax, mean, slice, sub, type Tensor } from "@latentkit/tensor";
import { positionIn, tokenByRow } from "../places.ts";

/**
 * What is measured of a run: from logits `[rows, pos, vocabulary]` of the prompts, in their order, to a tensor of one element. `pos` is 1
 * where only the last position's logits are computed. Made of differentiable operators it serves attribution patching too. With
 * `reduction: "none"` metrics give one element for each row instead, as `@latentkit/circuits` takes them.
 */
export type PatchMetric = (logits: Tensor) => Tensor;

/** Options of every metric. */
export interface MetricReduction {
  /** `"mean"` over rows, or `"none"`: one value for each row, `[rows]`. The mean if left out. */
  readonly reduction?: "mean" | "none" | undefined;
}

/** Which logits a metric reads. */
export interface MetricOptions extends MetricReduction {
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
      return reduced(
        sub(picked(last, target, "target"), picked(last, contrast, "contrast")),
        options,
      );
    });
}

/** The target's log-probability, the mean over rows. @throws ConfigError `ANALYSIS_POSITION`, `ANALYSIS_TOKENS` */
export function targetLogProbability(options: MetricOptions): PatchMetric {
  const { target, position = -1 } = options;
  return (logits) =>
    logits.device.scope(() =>
      reduced(picked(logSoftmax(atPosition(logits, position)), target, "target"), options),
    );
}

/**
 * The cross-entropy of each token given those before it, in nats, the mean over a row's tokens, then over rows. It reads all
 * positions: measure with `logits: "all"`.
 *
 * @param tokens the rows that are run, of two tokens or more
 * @throws ShapeError `METRIC_LOGITS` for logits of other rows or positions
 */
export function nextTokenLoss(
  options: MetricReduction & { readonly tokens: readonly ArrayLike<number>[] },
): PatchMetric {
  const { tokens } = options;
  return (logits) =>
    logits.device.scope(() => {
      const [rows = 0, length = 0, vocabulary = 0] = logits.shape;
      if (tokens.length !== rows || length < 2 || tokens.some((row) => row.length !== length)) {
        throw new ShapeError({
          code: "METRIC_LOGITS",
          message: `the next-token loss of ${tokens.length} rows of ${tokens[0]?.length ?? 0} tokens was given logits of ${rows} rows and ${length} positions`,
          fix: 'give it the rows that are run, of two tokens or more, and measure with logits: "all"',
        });
      }
      const predicted = slice(logits, { axis: 1, start: 0, end: length - 1 });
      const next = Int32Array.from(tokens.flatMap((row) => Array.from(row).slice(1)));
      const losses = crossEntropy(
        predicted.reshape([rows * (length - 1), vocabulary]),
        logits.device.tensor(next, [rows * (length - 1)]),
      );
      return reduced(mean(losses.reshape([rows, length - 1]), { axis: 1 }), options);
    });
}

/** From a value for each row. */
function reduced(byRow: Tensor, { reduction = "mean" }: MetricReduction): Tensor {
  return reduction === "mean" ? mean(byRow) : byRow.reshape([byRow.size]);
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
