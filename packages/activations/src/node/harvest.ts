import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigError, internalFault, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import { hashBytes, type Tokenizer } from "@latentkit/loaders";
import { writeFileAtomic } from "@latentkit/loaders/node";
import { calibrateMedians } from "../calibrate.ts";
import { addCounts, manifestSchema } from "../manifest.ts";
import type { HarvestConfig, Manifest, ShardRecord } from "../manifest.ts";
import { packDocument } from "../packing.ts";
import type { Context } from "../packing.ts";
import { splitOf, splits } from "../split.ts";
import type { Split } from "../split.ts";
import { type FolderLock, lockFolder } from "./folder-lock.ts";
import { planHarvest } from "./harvest-options.ts";
import type {
  HarvestOptions,
  HarvestPlan,
  HarvestSettings,
  HarvestSitesOptions,
  HarvestTarget,
} from "./harvest-options.ts";
import {
  documentsFile,
  inputChangedError,
  journalFile,
  manifestFile,
  noTokensError,
  openState,
  writeJournal,
} from "./harvest-state.ts";
import type { HarvestState } from "./harvest-state.ts";
import { InputDigest } from "./input-digest.ts";
import { RoleTable } from "./role-table.ts";
import { shardFile, writeShards } from "./shard-writer.ts";
import type { NumberedContext } from "./shard-writer.ts";
import { writeError } from "./write-error.ts";

/**
 * Runs a model over text and stores one site's activations as shards with a manifest; see `docs/adr/0004-activation-shards.md`.
 *
 * A harvest that was stopped in any way goes on when it is called again with the same settings and text, and ends with the same
 * bytes: finished shards are checked by their sha256 and kept. On a complete folder it only checks.
 *
 * @returns the manifest, which is also in the folder
 * @throws ConfigError for options that do not fit the model
 * @throws MismatchError `HARVEST_DIFFERS` where the folder was made by other settings, `HARVEST_TEXT_CHANGED` by other text
 * @throws IoError `DISK_FULL`, `OUT_LOCKED`, `OUT_NOT_FOLDER`, `FILE_DENIED`
 * @throws FormatError `TEXT_TOO_SHORT`, and what reading the documents throws
 * @throws AbortedError `ABORTED`; whole shards are kept
 */
export async function harvest(options: HarvestOptions): Promise<Manifest> {
  const { site, out, ...settings } = options;
  const [manifest] = await harvestSites({ ...settings, sites: [{ site, out }] });
  if (manifest === undefined) throw internalFault("a site was harvested without a manifest");
  return manifest;
}

/**
 * {@link harvest} of several sites, from one run of the model over each context. Every folder gets the bytes that a harvest of that
 * site alone would give it, but for sites inside of a layer that a fused kernel skips unless they are asked for. One that was stopped
 * runs only what some folder still lacks. In memory there is a shard of each site at a time.
 *
 * @returns the manifests in the order of `sites`
 * @throws ConfigError `HARVEST_FOLDERS` where two sites have one folder, or there is no site; and what {@link harvest} throws
 */
export async function harvestSites(options: HarvestSitesOptions): Promise<Manifest[]> {
  const { sites, ...settings } = options;
  checkFolders(sites);
  const plans = sites.map((target) => planHarvest({ ...settings, ...target }));
  const locks: FolderLock[] = [];
  try {
    const targets: Target[] = [];
    for (const [index, { out: folder }] of sites.entries()) {
      const plan = plans[index];
      if (plan === undefined) throw internalFault("a site was not planned");
      await mkdir(folder, { recursive: true }).catch((error: unknown) => {
        throw writeError(folder, error);
      });
      locks.push(await lockFolder(folder));
      await removeTemporaries(folder);
      const state = await openState(folder, plan.config, plan.provenance, settings);
      targets.push(new Target(folder, plan, state));
    }
    if (targets.every(({ complete }) => complete !== null))
      return await checkComplete(settings, targets);
    return await new Harvest(settings, targets).run();
  } finally {
    for (const lock of locks) await lock.release();
  }
}

/** The folder of one site, and what it has so far. */
class Target {
  readonly folder: string;
  readonly plan: HarvestPlan;
  /** As the folder has it. */
  readonly config: HarvestConfig;
  /** The manifest of a folder that lacked nothing at the start. */
  readonly complete: Manifest | null;
  medianNorm: number | null;
  /** Of the text so far. */
  readonly records: ShardRecord[] = [];
  readonly #journaled: Map<string, ShardRecord>;

  constructor(folder: string, plan: HarvestPlan, state: HarvestState) {
    this.folder = folder;
    this.plan = plan;
    this.config = state.config;
    this.complete = state.manifest;
    this.medianNorm = state.medianNorm;
    this.#journaled = new Map(state.shards);
  }

  /** A finished shard, which then counts as one of this text; null where it has to be made. */
  take(file: string, inputSha256: string, contexts: number): ShardRecord | null {
    const kept = this.#journaled.get(file);
    if (kept === undefined) return null;
    if (kept.inputSha256 !== inputSha256 || kept.contexts !== contexts)
      throw inputChangedError(this.folder, file);
    this.records.push(kept);
    return kept;
  }

  /** Notes a shard that was just written. */
  async add(record: ShardRecord): Promise<void> {
    this.records.push(record);
    this.#journaled.set(record.file, record);
    await this.writeJournal();
  }

  async writeJournal(): Promise<void> {
    const records = sortRecords(this.#journaled.values());
    const { folder, config, plan, medianNorm } = this;
    await writeJournal(folder, config, plan.provenance, medianNorm ?? 0, records);
  }

  /** Throws where the folder has a shard that this text does not give. */
  checkLeft(): void {
    const found = new Set(this.records.map((record) => record.file));
    const left = [...this.#journaled.keys()].find((file) => !found.has(file));
    if (left !== undefined) throw inputChangedError(this.folder, left);
  }
}

/** One run over the text. Documents pass once, in order; what is finished already is packed again but not run. */
class Harvest {
  readonly #options: HarvestSettings;
  readonly #targets: readonly Target[];
  /** What all targets have in common. */
  readonly #config: HarvestConfig;
  readonly #tokenizer: Tokenizer;
  readonly #digest = new InputDigest();
  readonly #roles = new RoleTable();
  readonly #queues: Record<Split, NumberedContext[]> = { train: [], "held-out": [] };
  readonly #written: Record<Split, number> = { train: 0, "held-out": 0 };
  readonly #documents: string[] = [];
  /** Contexts that wait for the median norm. */
  #waiting: { context: Context; split: Split; inputSha256: string }[] = [];
  #calibrated: boolean;
  #contexts = 0;
  #tokens = 0;
  #empty = 0;
  #dropped = 0;
  #done = 0;
  #ran = 0;
  /** When the first batch of a shard began: calibration and packing of finished shards are not the model's speed. */
  #started: number | null = null;

  constructor(options: HarvestSettings, targets: readonly Target[]) {
    const [first] = targets;
    if (first === undefined) throw internalFault("a harvest has no site");
    this.#options = options;
    this.#targets = targets;
    this.#config = first.config;
    this.#tokenizer = first.plan.tokenizer;
    this.#calibrated = targets.every(({ medianNorm }) => medianNorm !== null);
  }

  async run(): Promise<Manifest[]> {
    const { documents, signal } = this.#options;
    const { split: splitPolicy, packing, maximumTokens } = this.#config;
    let index = 0;
    let exhausted = true;
    for await (const document of documents) {
      throwIfAborted(signal, "whole shards are kept");
      this.#digest.add(document);
      const inputSha256 = this.#digest.hex();
      const split = splitOf(document, splitPolicy);
      const packed = packDocument(this.#tokenizer, document, index, packing);
      let taken = 0;
      for (const context of packed.contexts) {
        if (maximumTokens !== null && this.#tokens + context.length > maximumTokens) {
          exhausted = false;
          break;
        }
        this.#tokens += context.length;
        taken += 1;
        await this.#take(context, split, inputSha256);
      }
      if (packed.contexts.length === 0) this.#empty += 1;
      this.#dropped += packed.dropped;
      this.#documents.push(
        JSON.stringify({ index, id: document.id, split, tokens: packed.tokens, contexts: taken }),
      );
      index += 1;
      if (!exhausted) break;
      // Packing is synchronous; without this, Ctrl-C would wait for the whole text.
      if (index % 64 === 0) await yieldToEventLoop();
    }
    if (this.#tokens === 0) throw noTokensError(index, packing.minimumTokens);
    if (!this.#calibrated) await this.#calibrate();
    for (const split of splits) await this.#flush(split, this.#digest.hex());
    for (const target of this.#targets) target.checkLeft();
    const manifests: Manifest[] = [];
    for (const target of this.#targets)
      manifests.push(await this.#finish(target, index, exhausted));
    return manifests;
  }

  /** @param inputSha256 of the documents up to the context's own: not of those read since, while it waited */
  async #take(context: Context, split: Split, inputSha256: string): Promise<void> {
    if (!this.#calibrated) {
      this.#waiting.push({ context, split, inputSha256 });
      if (this.#waiting.length === this.#config.mask.calibrationContexts) await this.#calibrate();
      return;
    }
    const queue = this.#queues[split];
    queue.push({ context, index: this.#contexts, roles: this.#roles.encode(context) });
    this.#contexts += 1;
    if (queue.length === this.#config.contextsPerShard) await this.#flush(split, inputSha256);
  }

  /** Takes the median norm of the first contexts, then lets them through. They are run again as parts of their shards. */
  async #calibrate(): Promise<void> {
    const { model, signal, onProgress } = this.#options;
    const waiting = this.#waiting;
    this.#waiting = [];
    const open = this.#targets.filter(({ medianNorm }) => medianNorm === null);
    const medians = await calibrateMedians({
      model,
      sites: open.map(({ config }) => config),
      contexts: waiting.map(({ context }) => context),
      batchSize: this.#config.batchSize,
      signal,
      onProgress,
    });
    for (const [place, target] of open.entries()) {
      target.medianNorm = medians[place] ?? 0;
      await target.writeJournal();
    }
    this.#calibrated = true;
    for (const { context, split, inputSha256 } of waiting)
      await this.#take(context, split, inputSha256);
  }

  /** Makes the shards of what waits in a split's queue, where they are not there already. */
  async #flush(split: Split, inputSha256: string): Promise<void> {
    const contexts = this.#queues[split];
    if (contexts.length === 0) return;
    this.#queues[split] = [];
    const number = this.#written[split]++;
    const file = shardFile(split, number);
    const missing = this.#targets
      .filter((target) => target.take(file, inputSha256, contexts.length) === null)
      .map((to) => ({ to, config: to.config, folder: to.folder, medianNorm: to.medianNorm ?? 0 }));
    const tokens = contexts.reduce((sum, { context }) => sum + context.length, 0);
    if (missing.length === 0) {
      this.#report(tokens, 0);
      return;
    }
    const { model, signal } = this.#options;
    const onTokens = (count: number): void => this.#report(count, count);
    this.#started ??= performance.now();
    const job = { model, targets: missing, split, number, inputSha256, signal, onTokens };
    for await (const { target, record } of writeShards(job, contexts)) await target.to.add(record);
  }

  #report(done: number, ran: number): void {
    this.#done += done;
    this.#ran += ran;
    const now = performance.now();
    const seconds = (now - (this.#started ?? now)) / 1000;
    this.#options.onProgress?.({
      stage: "harvest",
      done: this.#done,
      total: this.#config.maximumTokens ?? undefined,
      unit: "tokens",
      figures: { tokensPerSecond: this.#ran / Math.max(seconds, 1e-3) },
    });
  }

  async #finish(target: Target, count: number, exhausted: boolean): Promise<Manifest> {
    const { folder, config, complete } = target;
    const listing = this.#documents.map((line) => `${line}\n`).join("");
    if (complete !== null) {
      if (complete.documents.inputSha256 !== this.#digest.hex())
        throw inputChangedError(folder, manifestFile);
      return complete;
    }
    const shards = sortRecords(target.records);
    const countsOf = (split: Split) => addCounts(shards.filter((shard) => shard.split === split));
    // Parsing puts the fields into the schema's order, so that those read from the journal come out as those just made.
    const manifest = manifestSchema.parse({
      schemaVersion: 1,
      kind: "activations",
      ...config,
      mask: { ...config.mask, medianNorm: target.medianNorm ?? 0 },
      roles: this.#roles.names(),
      documents: {
        file: documentsFile,
        sha256: hashBytes(listing),
        count,
        empty: this.#empty,
        droppedTokens: this.#dropped,
        inputSha256: this.#digest.hex(),
        exhausted,
      },
      counts: {
        ...addCounts(shards),
        splits: { train: countsOf("train"), "held-out": countsOf("held-out") },
      },
      shards,
      ...target.plan.provenance,
    } satisfies Manifest);
    await writeFileAtomic(join(folder, documentsFile), listing);
    await writeFileAtomic(join(folder, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(join(folder, journalFile), { force: true });
    return manifest;
  }
}

/** Order of the splits, then of the text. */
function sortRecords(records: Iterable<ShardRecord>): ShardRecord[] {
  const rank = (record: ShardRecord): string => `${splits.indexOf(record.split)} ${record.file}`;
  return [...records].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

/** Complete folders are what was asked for if their text is. */
async function checkComplete(
  { documents, signal }: HarvestSettings,
  targets: readonly Target[],
): Promise<Manifest[]> {
  const manifests = targets.flatMap(({ complete }) => (complete === null ? [] : [complete]));
  const digests = new Map(manifests.map(({ documents: { count } }) => [count, ""]));
  const furthest = Math.max(...digests.keys());
  const digest = new InputDigest();
  let seen = 0;
  for await (const document of documents) {
    throwIfAborted(signal);
    digest.add(document);
    seen += 1;
    if (digests.has(seen)) digests.set(seen, digest.hex());
    // One more tells whether the text goes on.
    if (seen > furthest) break;
  }
  for (const [index, { documents: before }] of manifests.entries()) {
    const { count, inputSha256, exhausted } = before;
    if ((exhausted && seen > count) || digests.get(count) !== inputSha256)
      throw inputChangedError(targets[index]?.folder ?? "", manifestFile);
  }
  for (const { folder } of targets) await rm(join(folder, journalFile), { force: true });
  return manifests;
}

function checkFolders(sites: readonly HarvestTarget[]): void {
  const folders = sites.map(({ out }) => resolve(out));
  const twice = folders.find((folder, index) => folders.indexOf(folder) !== index);
  if (sites.length > 0 && twice === undefined) return;
  throw new ConfigError({
    code: "HARVEST_FOLDERS",
    message: twice === undefined ? "no site was given" : "two sites were given one folder",
    fix: "give at least one site, and each a folder of its own",
    where: twice,
  });
}

/** What a killed run had not renamed yet. */
async function removeTemporaries(folder: string): Promise<void> {
  const left = (await readdir(folder)).filter((name) =>
    /\.\d+\.([0-9a-f]{8}\.tmp|stale)$/u.test(name),
  );
  for (const name of left) await rm(join(folder, name), { force: true });
}
