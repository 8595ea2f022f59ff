import { throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { SiteEdit } from "@latentkit/models";
import { concat, slice, type Tensor, where } from "@latentkit/tensor";
import { capturedAt } from "../captured.ts";
import {
  normalised,
  patchMask,
  type PatchedValue,
  type PatchPlace,
  patchPlaces,
  patchRuns,
  type PatchTable,
} from "./patch-places.ts";
import { checkPrompts, measure, type PatchingOptions } from "./prompts.ts";

/** Options of {@link activationPatching}. */
export interface ActivationPatchingOptions extends PatchingOptions {
  /**
   * Patches in one run, each with all prompts; 8 if left out. Rows do not see each other, so that this changes speed and nothing else,
   * but for the rounding of backends whose matrix products depend on the number of rows.
   */
  readonly batchSize?: number | undefined;
}

/**
 * Activation patching (causal tracing, Meng et al. 2022; denoising, Heimersheim and Nanda 2024): runs the corrupt prompts with one
 * value at a time from the clean run, and measures. For noising, give the prompts the other way round.
 *
 * @throws ShapeError `PATCH_PROMPTS`; ConfigError `PATCH_SITE`, `SITE_UNKNOWN`, `ANALYSIS_POSITION`; what `model.run` and the metric
 *   throw; AbortedError between runs
 */
export async function activationPatching(options: ActivationPatchingOptions): Promise<PatchTable> {
  const { model, clean, corrupt, metric, sites, logits = "last", signal, onProgress } = options;
  const length = checkPrompts(options);
  const places = patchPlaces(model, sites, length);
  const perRun = Math.max(1, Math.floor(options.batchSize ?? 8));
  throwIfAborted(signal, "nothing is kept");

  const capture = [...new Set(places.map(({ site }) => site))];
  const [captured, measured] = model.device.scope(() => {
    // Both baselines from one run without sites, so that equal prompts measure equal.
    const both = model.run([...clean, ...corrupt], { logits });
    const metrics = [0, 1].map((half) =>
      measure((all) => metric(copyOf(all, half, clean.length)), both.logits),
    );
    return [model.run(clean, { capture, logits: "none" }).captured, metrics] as const;
  });
  try {
    const [cleanValue = Number.NaN, corruptValue = Number.NaN] = await Promise.all(
      measured.map((tensor) => tensor.item()),
    );
    const rows: PatchedValue[] = [];
    for (const chunk of patchRuns(places, perRun)) {
      throwIfAborted(signal, "nothing is kept");
      const patched = model.device.scope(() => patchedRun(options, chunk, captured));
      // eslint-disable-next-line no-await-in-loop -- one run at a time
      const values = await Promise.all(patched.map((tensor) => tensor.item()));
      for (const tensor of patched) tensor.dispose();
      for (const [index, place] of chunk.entries()) {
        const value = values[index] ?? Number.NaN;
        rows.push({ ...place, value, normalised: normalised(value, cleanValue, corruptValue) });
      }
      onProgress?.({
        stage: "activation patching",
        done: rows.length,
        total: places.length,
        unit: "patches",
      });
      // eslint-disable-next-line no-await-in-loop -- lets signals through
      await yieldToEventLoop();
    }
    return { clean: cleanValue, corrupt: corruptValue, rows };
  } finally {
    for (const tensor of [...measured, ...captured.values()]) tensor.dispose();
  }
}

/** The corrupt prompts once for each patch, in one run; the metric of each. */
function patchedRun(
  { model, corrupt, metric, logits = "last" }: ActivationPatchingOptions,
  chunk: readonly PatchPlace[],
  clean: ReadonlyMap<string, Tensor>,
): Tensor[] {
  const count = corrupt.length;
  const edits = [...new Set(chunk.map(({ site }) => site))].map((site): SiteEdit => ({
    site,
    edit: (value) => {
      const pieces = chunk.map((place, index) => {
        const own = copyOf(value, index, count);
        if (place.site !== site) return own;
        return where(patchMask(model, place, own), capturedAt(clean, site), own);
      });
      return concat(pieces, { axis: 0 });
    },
  }));
  const run = model.run(
    chunk.flatMap(() => corrupt),
    { edits, logits },
  );
  return chunk.map((_, index) => measure((all) => metric(copyOf(all, index, count)), run.logits));
}

/** The rows of one of several copies of the prompts, `count` each. */
function copyOf(value: Tensor, index: number, count: number): Tensor {
  return slice(value, { axis: 0, start: index * count, end: (index + 1) * count });
}
