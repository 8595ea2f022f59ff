import {
  type ActivationBatches,
  type ActivationStore,
  heldOutRows,
  openLiveActivations,
  shardBatches,
} from "@latentkit/activations";
import { harvestSites, openActivations, readDocuments } from "@latentkit/activations/node";
import { MismatchError } from "@latentkit/core";
import type { LongCallOptions, OnProgress } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { SaeMetadata } from "@latentkit/sae";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { SaeTrainConfig, SaeTrainSource } from "./config.ts";

/** Memory for the training activations that are mixed with each other. */
const mixedBytes = 2 ** 30;

/** One site, ready to train on. */
export interface SiteSource {
  readonly site: string;
  readonly heldOut: Float32Array;
  readonly metadata: SaeMetadata;
  batches(seed: number): ActivationBatches;
}

/** Activations of all sites of a configuration. */
export interface OpenSources {
  readonly sites: readonly SiteSource[];
  /** What they are made of, as JSON: a run on other ones is not gone on with. */
  readonly identity: unknown;
  /** Makes damaged shards anew, where this command has made them; null where that is not its business. */
  readonly mend: (() => Promise<void>) | null;
  close(): Promise<void>;
}

type TextSource = Extract<SaeTrainSource, { kind: "text" }>;

/** Opens folders of shards that are there. */
export async function openShardSources(
  folders: readonly string[],
  config: SaeTrainConfig,
  options: LongCallOptions,
): Promise<OpenSources> {
  const stores: ActivationStore[] = [];
  for (const folder of folders) stores.push(await openActivations(folder));
  const names = stores.map(({ manifest }) => manifest.site);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new MismatchError({
      code: "SAE_TRAIN_SITES",
      message: `two folders of shards are of the site ${twice}`,
      fix: "name one folder for each site",
      where: folders.join(", "),
    });
  }
  return {
    sites: await sitesOf(stores, config, options),
    identity: { shards: stores.map(identityOf) },
    mend: null,
    close: () => Promise.resolve(),
  };
}

/** Stores the activations of all sites, in one run of the model, as far as they are not there; then opens them. */
export async function openHarvestedSources(
  model: LanguageModel,
  source: TextSource,
  config: SaeTrainConfig,
  out: string,
  options: LongCallOptions,
): Promise<OpenSources> {
  const targets = source.sites.map((site) => ({ site, out: join(out, "activations", site) }));
  const run = async (): Promise<void> => {
    await harvestSites({
      ...settingsOf(source, config),
      model,
      documents: readDocuments(source.text, { signal: options.signal }),
      sites: targets,
      maximumTokens: source.maxTokens,
      ...options,
    });
  };
  await run();
  const stores: ActivationStore[] = [];
  for (const { out: folder } of targets) stores.push(await openActivations(folder));
  return {
    sites: await sitesOf(stores, config, options),
    identity: { shards: stores.map(identityOf) },
    mend: run,
    close: () => Promise.resolve(),
  };
}

/** Runs the model while training. */
export async function openLiveSources(
  model: LanguageModel,
  source: TextSource,
  config: SaeTrainConfig,
  options: LongCallOptions,
): Promise<OpenSources> {
  const settings = settingsOf(source, config);
  const live = await openLiveActivations({
    ...settings,
    model,
    documents: () => readDocuments(source.text, { signal: options.signal }),
    sites: source.sites,
    bufferTokens: source.bufferTokens,
    heldOutRows: config.heldOutRows,
    ...options,
  });
  const { name, weightsHash } = model.identity();
  const text: string[] = [];
  for (const path of source.text) text.push(await hashFile(path));
  return {
    sites: [...live.sites.values()].map((site) => ({
      site: site.site,
      heldOut: site.heldOut,
      metadata: {
        modelName: name,
        hookName: site.site,
        weightsHash,
        contextSize: live.packing.contextSize,
        prependBos: live.packing.prependBos,
      },
      batches: (seed) => site.batches(seed),
    })),
    identity: { live: { weightsHash, text, ...settings, bufferTokens: source.bufferTokens } },
    mend: null,
    close: () => live.close(),
  };
}

function settingsOf(source: TextSource, { seed }: SaeTrainConfig) {
  const { contextSize, prependBos, heldOut, contextsPerRun } = source;
  return {
    packing: { prependBos, ...(contextSize === undefined ? {} : { contextSize }) },
    split: { heldOut, seed },
    batchSize: contextsPerRun,
  };
}

async function sitesOf(
  stores: readonly ActivationStore[],
  config: SaeTrainConfig,
  {
    signal,
  }: { readonly signal?: AbortSignal | undefined; readonly onProgress?: OnProgress | undefined },
): Promise<SiteSource[]> {
  const sites: SiteSource[] = [];
  for (const store of stores) {
    const { site, model, packing } = store.manifest;
    sites.push({
      site,
      heldOut: await heldOutRows(store, config.heldOutRows, { signal }),
      metadata: {
        modelName: model.name,
        hookName: site,
        weightsHash: model.weightsHash,
        contextSize: packing.contextSize,
        prependBos: packing.prependBos,
      },
      batches: (seed) => shardBatches(store, { split: "train", seed, bufferBytes: mixedBytes }),
    });
  }
  return sites;
}

/** What a folder of shards is, whatever it is called. */
function identityOf({ manifest }: ActivationStore): unknown {
  const { site, shards } = manifest;
  const hash = createHash("sha256");
  for (const { sha256 } of shards) hash.update(sha256);
  return { site, sha256: hash.digest("hex") };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  // Streams without an encoding give buffers, which their types do not say.
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  return hash.digest("hex");
}
