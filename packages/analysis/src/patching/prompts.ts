import { internalFault, type LongCallOptions, ShapeError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { Tensor } from "@latentkit/tensor";
import type { PatchMetric } from "./metrics.ts";
import type { PatchSite } from "./patch-places.ts";

/** What activation patching and attribution patching are both given. */
export interface PatchingOptions extends LongCallOptions {
  readonly model: LanguageModel;
  /** Prompts whose activations are put in: rows of token ids, all of one length. */
  readonly clean: readonly ArrayLike<number>[];
  /** Prompts that are run with the patch, as many and as long: row by row the counterparts of the clean ones. */
  readonly corrupt: readonly ArrayLike<number>[];
  readonly metric: PatchMetric;
  readonly sites: readonly PatchSite[];
  /** Which positions' logits the metric sees: `"all"`, or the `"last"` one alone, which saves the rest. `"last"` if left out. */
  readonly logits?: "all" | "last" | undefined;
}

/** Checks that the prompts match. Returns the length of each. @throws ShapeError `PATCH_PROMPTS` */
export function checkPrompts({ clean, corrupt }: PatchingOptions): number {
  const length = clean[0]?.length ?? 0;
  const fits = [...clean, ...corrupt].every((row) => row.length === length);
  if (fits && clean.length === corrupt.length && length > 0) return length;
  const lengths = (rows: readonly ArrayLike<number>[]) => rows.map((row) => row.length).join(", ");
  throw new ShapeError({
    code: "PATCH_PROMPTS",
    message: `clean prompts have ${lengths(clean) || "no"} tokens and corrupt ones ${lengths(corrupt) || "none"}: a patch puts a value of one in the same place of the other`,
    fix: "give as many clean as corrupt prompts, all with the same number of tokens",
  });
}

/** The metric of logits that a run made. */
export function measure(metric: PatchMetric, logits: Tensor | null): Tensor {
  if (logits === null) throw internalFault("a run of logits gave none");
  return metric(logits);
}
