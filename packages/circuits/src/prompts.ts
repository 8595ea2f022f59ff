import { formatShape, internalFault, ShapeError } from "@latentkit/core";
import type { Tensor } from "@latentkit/tensor";

/** Prompts as rows of token ids, all of one length. */
export type Prompts = readonly ArrayLike<number>[];

/**
 * What is measured of each prompt: from logits `[rows, pos, vocabulary]` of the prompts, in their order, to `[rows]`, by differentiable
 * operators; `pos` is 1 where only the last position's logits are computed. The metrics of `@latentkit/analysis` are of this kind with
 * `reduction: "none"`. For a single prompt a tensor of one element will do.
 */
export type RowMetric = (logits: Tensor) => Tensor;

/** Which positions' logits a metric sees. */
export type MetricLogits = "all" | "last";

/** The length of the prompts. @throws ShapeError `CIRCUIT_PROMPTS` unless all are of one, and there are some */
export function promptLength(prompts: Prompts, what: string): number {
  const length = prompts[0]?.length ?? 0;
  if (length > 0 && prompts.every((row) => row.length === length)) return length;
  throw new ShapeError({
    code: "CIRCUIT_PROMPTS",
    message: `${what} prompts have ${prompts.map((row) => row.length).join(", ") || "no"} tokens, and one length is expected`,
    fix: "give prompts of one length, whose positions mean the same",
  });
}

/** Checks that each clean prompt has its counterpart. @throws ShapeError `CIRCUIT_PROMPTS` */
export function checkPairs(clean: Prompts, corrupt: Prompts): void {
  const [length, other] = [promptLength(clean, "clean"), promptLength(corrupt, "corrupt")];
  if (length === other && clean.length === corrupt.length) return;
  throw new ShapeError({
    code: "CIRCUIT_PROMPTS",
    message: `there are ${clean.length} clean prompts of ${length} tokens and ${corrupt.length} corrupt ones of ${other}`,
    fix: "give a corrupt prompt of the same length for each clean one",
  });
}

/** The metric of a run's logits, `[rows]`. @throws ShapeError `CIRCUIT_METRIC` for another number of values than rows */
export function measureRows(metric: RowMetric, logits: Tensor | null, rows: number): Tensor {
  if (logits === null) throw internalFault("a run of logits gave none");
  const values = metric(logits);
  if (values.size === rows) return values.reshape([rows]);
  throw new ShapeError({
    code: "CIRCUIT_METRIC",
    message: `the metric gave shape ${formatShape(values.shape)} for ${rows} prompts`,
    fix: 'give one value for each prompt, for example logitDifference({ ..., reduction: "none" })',
  });
}
