import { ConfigError, MismatchError, throwIfAborted } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import type { ActivationModel } from "./activation-model.ts";
import type { ActivationBatches } from "./batches.ts";
import { calibrateMedians } from "./calibrate.ts";
import type { TextDocument } from "./document.ts";
import { LiveBatches } from "./live-batches.ts";
import { LivePools, type LiveSiteState, placedContexts, textStart } from "./live-pools.ts";
import { computeMask, type MaskPolicy } from "./mask.ts";
import type { Context, PackingPolicy } from "./packing.ts";
import { runContexts, type SiteWidth } from "./run-contexts.ts";
import {
  type ActivationSettings,
  checkCount,
  type ResolvedSettings,
  resolveSettings,
  tokenSite,
} from "./settings.ts";
import { keptRows } from "./store.ts";

/** What {@link openLiveActivations} needs. */
export interface LiveActivationsOptions extends ActivationSettings, LongCallOptions {
  /** A `LanguageModel` with a tokenizer. */
  readonly model: ActivationModel;
  /** Starts from the first document, each time the same ones. It may be endless; otherwise it is read again when it ends. */
  readonly documents: () => AsyncIterable<TextDocument> | Iterable<TextDocument>;
  /** Sites with axes `batch` and `pos`, read in one run of the model. */
  readonly sites: readonly string[];
  /** Tokens that are run, and then mixed, at a time; about 65,536 unless told. Memory: three times as many rows of each site. */
  readonly bufferTokens?: number | undefined;
  /** Unmasked held-out rows to take of each site; 20,000 unless told, fewer where the text has fewer. */
  readonly heldOutRows?: number | undefined;
}

/** Activations of a model that runs as they are used; nothing is stored. */
export interface LiveActivations extends AsyncDisposable {
  readonly sites: ReadonlyMap<string, LiveSite>;
  /** As the manifest of a harvest has it. */
  readonly packing: PackingPolicy;
  /** Lets go of the text's files and of activations in memory. Streams that are used again begin anew. */
  close(): Promise<void>;
}

/** One site of {@link LiveActivations}. */
export interface LiveSite {
  readonly site: string;
  readonly dIn: number;
  /** The mask of training and held-out rows, which metrics in the model must use too. */
  readonly mask: MaskPolicy & { readonly medianNorm: number };
  /** `[n, dIn]`: unmasked rows of the first held-out documents. */
  readonly heldOut: Float32Array;
  /**
   * A stream of this site's unmasked training rows. Those of several sites share the model's runs while they go forward together.
   *
   * @throws MismatchError `BATCHES_EMPTY` from `next`, where the text has no unmasked training token
   */
  batches(seed: number): ActivationBatches;
}

/**
 * Reads a text through a model for training without shards. The contexts, the split and the mask, with its median norm, are those of a
 * harvest with the same settings. Takes the median and the held-out rows now, the rest as it is asked for.
 *
 * @throws ConfigError for options that do not fit the model, `LIVE_SITES` where no site is given or one is given twice
 * @throws MismatchError `HELD_OUT_EMPTY` where no held-out token was found
 * @throws DeviceError `ACTIVATION_NOT_FINITE`; AbortedError `ABORTED`
 *
 * @example
 * const live = await openLiveActivations({ model, documents: () => documents, sites: ["blocks.3.hook_resid_post"] });
 * const batches = live.sites.get("blocks.3.hook_resid_post")?.batches(0);
 */
export async function openLiveActivations(
  options: LiveActivationsOptions,
): Promise<LiveActivations> {
  const { model, documents, bufferTokens = 65_536, heldOutRows = 20_000 } = options;
  const settings = resolveSettings(model, options);
  const widths = sitesOf(model, options.sites);
  checkCount("bufferTokens", bufferTokens, 1);
  checkCount("heldOutRows", heldOutRows, 1);
  const { packing, batchSize, mask } = settings;
  const reading = { ...options, settings, widths };
  const sites = await calibrated(reading);
  const heldOut = await heldOutOf(reading, sites, heldOutRows);
  const batches = Math.max(1, Math.floor(bufferTokens / (packing.contextSize * batchSize)));
  const pools = new LivePools({
    model,
    documents,
    sites,
    settings,
    contextsPerPool: batches * batchSize,
    onProgress: options.onProgress,
  });
  const { calibrationContexts: _, ...policy } = mask;
  return {
    packing,
    close: () => pools.close(),
    [Symbol.asyncDispose]: () => pools.close(),
    sites: new Map(
      sites.map((site, place) => [
        site.site,
        {
          site: site.site,
          dIn: site.dIn,
          mask: { ...policy, medianNorm: site.medianNorm },
          heldOut: heldOut[place] ?? new Float32Array(0),
          batches: (seed) => new LiveBatches(pools, site, seed),
        } satisfies LiveSite,
      ]),
    ),
  };
}

type Reading = LiveActivationsOptions & {
  readonly settings: ResolvedSettings;
  readonly widths: readonly SiteWidth[];
};

function sitesOf(model: ActivationModel, names: readonly string[]): SiteWidth[] {
  if (names.length === 0 || new Set(names).size < names.length) {
    throw new ConfigError({
      code: "LIVE_SITES",
      message: `the sites are ${names.length === 0 ? "none" : names.join(", ")}, but different ones were expected`,
      fix: "give at least one site, each once",
    });
  }
  return names.map((name) => {
    const { name: site, width: dIn } = tokenSite(model, name);
    return { site, dIn };
  });
}

/** Median norms from the first contexts of both splits, as a harvest takes them. */
async function calibrated(reading: Reading): Promise<LiveSiteState[]> {
  const { settings, widths, model, signal, onProgress } = reading;
  const contexts: Context[] = [];
  for await (const { context } of placedContexts(reading, textStart)) {
    contexts.push(context);
    if (contexts.length === settings.mask.calibrationContexts) break;
  }
  const { batchSize } = settings;
  const medians = await calibrateMedians({
    model,
    sites: widths,
    contexts,
    batchSize,
    signal,
    onProgress,
  });
  return widths.map((site, place) => ({ ...site, medianNorm: medians[place] ?? 0 }));
}

/** Up to `wanted` unmasked rows of each site, from the text's first held-out documents. */
async function heldOutOf(
  reading: Reading,
  sites: readonly LiveSiteState[],
  wanted: number,
): Promise<Float32Array[]> {
  const { model, settings, signal, onProgress } = reading;
  const rows = sites.map(({ dIn }) => ({ data: new Float32Array(wanted * dIn), taken: 0 }));
  const short = (): boolean => rows.some(({ taken }) => taken < wanted);
  let waiting: Context[] = [];
  const run = async (): Promise<void> => {
    if (waiting.length === 0) return;
    throwIfAborted(signal);
    const { sites: found, ...grid } = await runContexts(model, sites, waiting);
    waiting = [];
    for (const [place, { dIn, medianNorm }] of sites.entries()) {
      const [site, target] = [found[place], rows[place]];
      if (site === undefined || target === undefined) continue;
      const mask = computeMask({ ...grid, ...site, medianNorm, policy: settings.mask });
      const kept = keptRows(site.activations, mask, dIn).subarray(0, (wanted - target.taken) * dIn);
      target.data.set(kept, target.taken * dIn);
      target.taken += kept.length / dIn;
    }
    onProgress?.({
      stage: "held-out activations",
      done: Math.min(...rows.map(({ taken }) => taken)),
      total: wanted,
      unit: "tokens",
    });
  };
  for await (const { context } of placedContexts(reading, textStart, "held-out")) {
    waiting.push(context);
    if (waiting.length < settings.batchSize) continue;
    await run();
    if (!short()) break;
  }
  if (short()) await run();
  return rows.map(({ data, taken }, place) => {
    const site = sites[place];
    if (taken === 0) throw heldOutEmpty(site?.site, settings.split.heldOut);
    return data.slice(0, taken * (site?.dIn ?? 0));
  });
}

function heldOutEmpty(site: string | undefined, share: number): MismatchError {
  return new MismatchError({
    code: "HELD_OUT_EMPTY",
    message: `no document was held out with share ${share}`,
    fix: "give more documents (a .jsonl file has one a line), a larger held-out share, or another split seed",
    where: site,
  });
}
