import { throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import type { ActivationModel } from "./activation-model.ts";
import { medianTokenNorm } from "./mask.ts";
import type { Context } from "./packing.ts";
import { runContexts, type SiteWidth } from "./run-contexts.ts";

/** What {@link calibrateMedians} needs. */
export interface CalibrateOptions extends LongCallOptions {
  readonly model: ActivationModel;
  readonly sites: readonly SiteWidth[];
  /** The first contexts of the text. */
  readonly contexts: readonly Context[];
  /** Contexts in a run of the model. */
  readonly batchSize: number;
}

/** The median norm of each site over the first contexts of a text: what the mask compares with, in whatever way the text is read. */
export async function calibrateMedians(options: CalibrateOptions): Promise<number[]> {
  const { model, sites, contexts, batchSize, signal, onProgress } = options;
  const norms: number[][] = sites.map(() => []);
  const positions: number[] = [];
  const lengths: number[] = [];
  for (let start = 0; start < contexts.length; start += batchSize) {
    // Without this, a run that never waits would keep Ctrl-C from being heard.
    await yieldToEventLoop();
    throwIfAborted(signal);
    const batch = contexts.slice(start, start + batchSize);
    const ran = await runContexts(model, sites, batch);
    for (let row = 0; row < ran.positions.length; row++) {
      for (const [place, site] of ran.sites.entries()) norms[place]?.push(site.norms[row] ?? 0);
      positions.push(ran.positions[row] ?? 0);
      lengths.push(ran.lengths[row] ?? 0);
    }
    onProgress?.({
      stage: "calibrate mask",
      done: start + batch.length,
      total: contexts.length,
      unit: "contexts",
    });
  }
  return norms.map((values) => medianTokenNorm(values, positions, lengths));
}
