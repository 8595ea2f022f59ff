import { defaultMask, type MaskPolicy, medianTokenNorm } from "@latentkit/activations";
import { type LongCallOptions, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { type CalibratedMask, contextBatches, type SpliceContext } from "./context-batch.ts";
import type { EvaluationRows } from "./split-rows.ts";

/** How {@link calibrateMask} goes about it. */
export interface CalibrateMaskOptions extends LongCallOptions {
  readonly site: string;
  /** Over the default mask: position 0, padding, and norms above ten times the median. */
  readonly mask?: Partial<MaskPolicy> | undefined;
  /** The median is that of the first contexts, 16 by default, as harvest takes it. */
  readonly calibrationContexts?: number | undefined;
  /** Contexts in a run of the model; 8 by default. */
  readonly batchSize?: number | undefined;
}

/** The mask that a harvest of these contexts would use: for measuring on text that was not harvested. */
export async function calibrateMask(
  model: LanguageModel,
  contexts: readonly SpliceContext[],
  options: CalibrateMaskOptions,
): Promise<CalibratedMask> {
  const { site, calibrationContexts = 16, batchSize = 8, signal } = options;
  const [norms, positions, lengths]: [number[], number[], number[]] = [[], [], []];
  for (const batch of contextBatches(contexts.slice(0, calibrationContexts), batchSize)) {
    throwIfAborted(signal);
    const read = await batch.read(model, { from: site, site });
    norms.push(...read.norms);
    positions.push(...batch.grid.positions);
    lengths.push(...batch.grid.lengths);
    await yieldToEventLoop();
  }
  return {
    ...defaultMask,
    ...options.mask,
    medianNorm: medianTokenNorm(norms, positions, lengths),
  };
}

/** How {@link contextRows} reads. */
export interface ContextRowsOptions extends Pick<LongCallOptions, "signal"> {
  readonly site: string;
  /** The site that a transcoder reconstructs: rows have targets then. */
  readonly targetSite?: string | undefined;
  /** The harvest's mask, or that of {@link calibrateMask}. */
  readonly mask: CalibratedMask;
  /** Contexts in a run of the model; 8 by default. */
  readonly batchSize?: number | undefined;
}

/** Rows for `evaluateSae` from a live model, a batch at a time, with the mask, document and position of each. */
export async function* contextRows(
  model: LanguageModel,
  contexts: readonly SpliceContext[],
  { site, targetSite, mask, batchSize = 8, signal }: ContextRowsOptions,
): AsyncGenerator<EvaluationRows, void, undefined> {
  for (const batch of contextBatches(contexts, batchSize)) {
    throwIfAborted(signal);
    const { activations, targets, norms } = await batch.read(model, {
      from: site,
      site: targetSite ?? site,
    });
    yield {
      activations,
      ...(targetSite === undefined ? {} : { targets }),
      masks: batch.mask(norms, mask),
      documents: Int32Array.from(norms, (_, row) => batch.document(row)),
      positions: batch.grid.positions,
    };
  }
}
