import type { LanguageModel } from "@latentkit/models";
import { embedding, slice, type Tensor } from "@latentkit/tensor";
import { capturedAt } from "./captured.ts";
import { positionIn, tokenByRow } from "./places.ts";
import { componentSites, componentValues, type ResidualComponent } from "./residual-components.ts";

/** Options of {@link directLogitAttribution}. */
export interface LogitAttributionOptions {
  /** The token whose logit is attributed: one for all rows, or one for each. */
  readonly target: number | readonly number[];
  /** A token whose logit is subtracted, likewise. */
  readonly contrast?: number | readonly number[] | undefined;
  /** On the `pos` axis; negative ones count from the end. -1, the last, if left out. */
  readonly position?: number | undefined;
  /** Heads in place of each layer's attention; false by default. */
  readonly heads?: boolean | undefined;
}

/** Who made one row's logit. */
export interface RowAttribution {
  /** By component, in the order of {@link LogitAttribution.components}. */
  readonly contributions: readonly number[];
  /** What the final norm's bias adds: 0 for RMSNorm. */
  readonly bias: number;
  /** The logit, or logit difference, before any soft cap: the sum of contributions and bias. */
  readonly total: number;
}

/** What {@link directLogitAttribution} gives. */
export interface LogitAttribution {
  readonly components: readonly ResidualComponent[];
  readonly rows: readonly RowAttribution[];
}

/**
 * How much each component of the residual stream adds to a logit, or to the difference of two, with the final norm's scale frozen at
 * what it was: component c adds `(c - mean(c)) * w / scale . u`, where w is what the norm multiplies by, u the token's row of the
 * unembedding (or the difference of two), and the mean is subtracted by LayerNorm alone. Together with the norm's bias it sums to
 * the logit.
 *
 * Where the family caps its logits (Gemma 2), this is the value before the cap, `cap * atanh(logit / cap)`.
 *
 * @param tokens rows of one length
 * @throws ConfigError `ANALYSIS_POSITION`, `ANALYSIS_TOKENS`; what `model.run` throws
 */
export async function directLogitAttribution(
  model: LanguageModel,
  tokens: readonly ArrayLike<number>[],
  options: LogitAttributionOptions,
): Promise<LogitAttribution> {
  const { vocabulary, dModel } = model.config;
  const position = positionIn(options.position ?? -1, tokens[0]?.length ?? 0);
  const byRow = (given: number | readonly number[], what: string) =>
    tokenByRow(given, tokens.length, vocabulary, what);
  const target = byRow(options.target, "target");
  const contrast = options.contrast === undefined ? null : byRow(options.contrast, "contrast");
  const parts = { heads: options.heads };

  const final = ["ln_final.hook_scale", "ln_final.hook_normalized"] as const;
  const made = model.device.scope(() => {
    const capture = [...componentSites(model, parts), ...final];
    const run = model.run(tokens, { capture, logits: "none" });
    const captured = new Map<string, Tensor>();
    for (const [site, value] of run.captured)
      captured.set(site, slice(value, { axis: 1, start: position, end: position + 1 }));
    const ids = [...target, ...(contrast ?? [])];
    return {
      components: componentValues(model, captured, parts),
      scale: capturedAt(captured, final[0]),
      normalized: capturedAt(captured, final[1]),
      unembedding: embedding(model.unembeddingWeight(), ids),
    };
  });
  const { components, scale, normalized, unembedding } = made;
  const disposed = [scale, normalized, unembedding, ...components.map(({ value }) => value)];
  try {
    const weight = await model.finalNormWeight().floats();
    const bias = (await model.finalNormBias()?.floats()) ?? null;
    const values = await Promise.all(components.map(({ value }) => value.floats()));
    const scales = await scale.floats();
    const finals = await normalized.floats();
    const rows = await unembedding.floats();
    return {
      components: components.map(({ component }) => component),
      rows: tokens.map((_, row) => {
        const direction = Float64Array.from({ length: dModel }, (__, i) => {
          const other = contrast === null ? 0 : (rows[(tokens.length + row) * dModel + i] ?? 0);
          return (rows[row * dModel + i] ?? 0) - other;
        });
        const weighted = direction.map((u, i) => u * (weight[i] ?? 0));
        const along = (value: Float32Array, centred: boolean) =>
          product(value.subarray(row * dModel, (row + 1) * dModel), weighted, centred);
        const added = bias === null ? 0 : product(bias, direction, false);
        return {
          contributions: values.map(
            (value) => along(value, bias !== null) / (scales[row] ?? Number.NaN),
          ),
          bias: added,
          total: along(finals, false) + added,
        };
      }),
    };
  } finally {
    for (const tensor of disposed) tensor.dispose();
  }
}

function product(a: Float32Array, b: Float64Array, centred: boolean): number {
  const mean = centred ? a.reduce((sum, x) => sum + x, 0) / a.length : 0;
  return a.reduce((sum, x, i) => sum + (x - mean) * (b[i] ?? 0), 0);
}
