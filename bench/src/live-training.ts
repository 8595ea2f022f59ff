import { openLiveActivations, type TextDocument } from "@latentkit/activations";
import { internalFault } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { topK, trainSaes } from "@latentkit/sae";
import { clock } from "./clock.ts";
import { small } from "./size.ts";

/** What a run from text to trained SAEs is made of; the peer has the same. */
export interface LiveSizes {
  readonly layer: number;
  readonly dSae: number;
  readonly batch: number;
  /** Presentations of training. */
  readonly tokens: number;
  /** Activations from which the input's scale is estimated before the first step. */
  readonly scaleTokens: number;
  readonly context: number;
  /** Activations that are mixed at a time. */
  readonly bufferTokens: number;
}

/** The sizes of the targets, and those of a trial. */
export const liveSizes: LiveSizes = small
  ? {
      layer: 9,
      dSae: 256,
      batch: 128,
      tokens: 256,
      scaleTokens: 128,
      context: 32,
      bufferTokens: 512,
    }
  : {
      layer: 9,
      dSae: 16_384,
      batch: 4096,
      tokens: 131_072,
      scaleTokens: 65_536,
      context: 128,
      bufferTokens: 65_536,
    };

/**
 * Seconds from text and a loaded model to trained SAEs, one for each k: calibration of the mask, held-out rows, the input's scale, running the
 * model, mixing, training, one evaluation at the end.
 */
export async function trainFromText(
  model: LanguageModel,
  documents: readonly TextDocument[],
  sizes: LiveSizes,
  ks: readonly number[],
): Promise<number> {
  const start = clock();
  const name = `blocks.${sizes.layer}.hook_resid_post`;
  await using live = await openLiveActivations({
    model,
    documents: () => documents,
    sites: [name],
    packing: { contextSize: sizes.context },
    bufferTokens: sizes.bufferTokens,
    heldOutRows: sizes.batch,
  });
  const site = live.sites.get(name);
  if (site === undefined) throw internalFault(`live activations were opened without ${name}`);
  const batches = site.batches(0);
  const outcomes = await trainSaes({
    device: model.device,
    saes: ks.map((k) => ({
      name: `k-${k}`,
      config: {
        ...topK({
          dSae: sizes.dSae,
          k,
          batchSize: sizes.batch,
          tokens: sizes.tokens,
          points: 1,
        }),
        recipe: "custom",
        normalisationTokens: sizes.scaleTokens,
        deadAfterTokens: 10_000_000,
      },
      batches,
      heldOut: site.heldOut,
    })),
  });
  const seconds = clock() - start;
  for (const outcome of outcomes) {
    if (outcome.status === "stopped") throw outcome.error;
    outcome.sae.dispose();
  }
  return seconds;
}
