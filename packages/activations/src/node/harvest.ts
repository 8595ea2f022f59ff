import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import { hashBytes } from "@latentkit/loaders";
import { writeFileAtomic } from "@latentkit/loaders/node";
import { addCounts, manifestSchema } from "../manifest.ts";
import type { Manifest, ShardRecord } from "../manifest.ts";
import { medianTokenNorm } from "../mask.ts";
import { packDocument } from "../packing.ts";
import type { Context } from "../packing.ts";
import { splitOf, splits } from "../split.ts";
import type { Split } from "../split.ts";
import { lockFolder } from "./folder-lock.ts";
import { planHarvest } from "./harvest-options.ts";
import type { HarvestOptions, HarvestPlan } from "./harvest-options.ts";
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
import { runContexts } from "./run-contexts.ts";
import { shardFile, writeShard } from "./shard-writer.ts";
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
  const plan = planHarvest(options);
  const { out: folder } = options;
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw writeError(folder, error);
  });
  const lock = await lockFolder(folder);
  try {
    await removeTemporaries(folder);
    const state = await openState(folder, plan.config, plan.provenance, options);
    if (state.manifest !== null) return await checkComplete(options, state.manifest);
    return await new Harvest(options, plan, state).run();
  } finally {
    await lock.release();
  }
}

/** One run over the text. Documents pass once, in order; what is finished already is packed again but not run. */
class Harvest {
  readonly #options: HarvestOptions;
  readonly #plan: HarvestPlan;
  readonly #state: HarvestState;
  readonly #digest = new InputDigest();
  readonly #roles = new RoleTable();
  readonly #records: ShardRecord[] = [];
  readonly #journaled: Map<string, ShardRecord>;
  readonly #queues: Record<Split, NumberedContext[]> = { train: [], "held-out": [] };
  readonly #written: Record<Split, number> = { train: 0, "held-out": 0 };
  readonly #documents: string[] = [];
  /** Contexts that wait for the median norm. */
  #waiting: { context: Context; split: Split; inputSha256: string }[] = [];
  #medianNorm: number | null;
  #contexts = 0;
  #tokens = 0;
  #empty = 0;
  #dropped = 0;
  #done = 0;
  #ran = 0;
  /** When the first batch of a shard began: calibration and packing of finished shards are not the model's speed. */
  #started: number | null = null;

  constructor(options: HarvestOptions, plan: HarvestPlan, state: HarvestState) {
    this.#options = options;
    this.#plan = plan;
    this.#state = state;
    this.#journaled = new Map(state.shards);
    this.#medianNorm = state.medianNorm;
  }

  async run(): Promise<Manifest> {
    const { documents, signal } = this.#options;
    const { config } = this.#state;
    let index = 0;
    let exhausted = true;
    for await (const document of documents) {
      throwIfAborted(signal, "whole shards are kept");
      this.#digest.add(document);
      const inputSha256 = this.#digest.hex();
      const split = splitOf(document, config.split);
      const packed = packDocument(this.#plan.tokenizer, document, index, config.packing);
      let taken = 0;
      for (const context of packed.contexts) {
        if (config.maximumTokens !== null && this.#tokens + context.length > config.maximumTokens) {
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
    if (this.#tokens === 0) throw noTokensError(index, config.packing.minimumTokens);
    if (this.#medianNorm === null) await this.#calibrate();
    for (const split of splits) await this.#flush(split, this.#digest.hex());
    const found = new Set(this.#records.map((record) => record.file));
    const left = [...this.#journaled.keys()].find((file) => !found.has(file));
    if (left !== undefined) throw inputChangedError(this.#options.out, left);
    return this.#finish(index, exhausted);
  }

  /** @param inputSha256 of the documents up to the context's own: not of those read since, while it waited */
  async #take(context: Context, split: Split, inputSha256: string): Promise<void> {
    if (this.#medianNorm === null) {
      this.#waiting.push({ context, split, inputSha256 });
      if (this.#waiting.length === this.#state.config.mask.calibrationContexts)
        await this.#calibrate();
      return;
    }
    const queue = this.#queues[split];
    queue.push({ context, index: this.#contexts, roles: this.#roles.encode(context) });
    this.#contexts += 1;
    if (queue.length === this.#state.config.contextsPerShard) await this.#flush(split, inputSha256);
  }

  /** Takes the median norm of the first contexts, then lets them through. They are run again as parts of their shards. */
  async #calibrate(): Promise<void> {
    const { model, signal, onProgress } = this.#options;
    const { site, dIn, batchSize } = this.#state.config;
    const waiting = this.#waiting;
    this.#waiting = [];
    const norms: number[] = [];
    const positions: number[] = [];
    const lengths: number[] = [];
    for (let start = 0; start < waiting.length; start += batchSize) {
      // Without this, a run that never waits would keep Ctrl-C from being heard.
      await yieldToEventLoop();
      throwIfAborted(signal);
      const batch = waiting.slice(start, start + batchSize).map(({ context }) => context);
      const ran = await runContexts(model, site, dIn, batch);
      for (let row = 0; row < ran.norms.length; row++) {
        norms.push(ran.norms[row] ?? 0);
        positions.push(ran.positions[row] ?? 0);
        lengths.push(ran.lengths[row] ?? 0);
      }
      onProgress?.({
        stage: "calibrate mask",
        done: start + batch.length,
        total: waiting.length,
        unit: "contexts",
      });
    }
    this.#medianNorm = medianTokenNorm(norms, positions, lengths);
    await this.#writeJournal(this.#medianNorm);
    for (const { context, split, inputSha256 } of waiting)
      await this.#take(context, split, inputSha256);
  }

  /** Makes a shard of what waits in a split's queue, unless it is there already. */
  async #flush(split: Split, inputSha256: string): Promise<void> {
    const contexts = this.#queues[split];
    if (contexts.length === 0 || this.#medianNorm === null) return;
    this.#queues[split] = [];
    const number = this.#written[split]++;
    const file = shardFile(split, number);
    const kept = this.#journaled.get(file);
    if (kept !== undefined) {
      if (kept.inputSha256 !== inputSha256 || kept.contexts !== contexts.length)
        throw inputChangedError(this.#options.out, file);
      this.#records.push(kept);
      this.#report(kept.tokens, 0);
      return;
    }
    const { model, out: folder, signal } = this.#options;
    const { config } = this.#state;
    const onTokens = (tokens: number): void => this.#report(tokens, tokens);
    const job = {
      model,
      config,
      medianNorm: this.#medianNorm,
      folder,
      split,
      number,
      inputSha256,
      signal,
      onTokens,
    };
    this.#started ??= performance.now();
    const record = await writeShard(job, contexts);
    this.#records.push(record);
    this.#journaled.set(file, record);
    await this.#writeJournal(this.#medianNorm);
  }

  #writeJournal(medianNorm: number): Promise<void> {
    const records = sortRecords(this.#journaled.values());
    return writeJournal(
      this.#options.out,
      this.#state.config,
      this.#plan.provenance,
      medianNorm,
      records,
    );
  }

  #report(done: number, ran: number): void {
    this.#done += done;
    this.#ran += ran;
    const now = performance.now();
    const seconds = (now - (this.#started ?? now)) / 1000;
    this.#options.onProgress?.({
      stage: "harvest",
      done: this.#done,
      total: this.#state.config.maximumTokens ?? undefined,
      unit: "tokens",
      figures: { tokensPerSecond: this.#ran / Math.max(seconds, 1e-3) },
    });
  }

  async #finish(count: number, exhausted: boolean): Promise<Manifest> {
    const { out: folder } = this.#options;
    const { config } = this.#state;
    const listing = this.#documents.map((line) => `${line}\n`).join("");
    const shards = sortRecords(this.#records);
    const countsOf = (split: Split) => addCounts(shards.filter((shard) => shard.split === split));
    // Parsing puts the fields into the schema's order, so that those read from the journal come out as those just made.
    const manifest = manifestSchema.parse({
      schemaVersion: 1,
      kind: "activations",
      ...config,
      mask: { ...config.mask, medianNorm: this.#medianNorm ?? 0 },
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
      ...this.#plan.provenance,
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

/** A complete folder is what was asked for if its text is. */
async function checkComplete(options: HarvestOptions, manifest: Manifest): Promise<Manifest> {
  const { count, inputSha256, exhausted } = manifest.documents;
  const digest = new InputDigest();
  let seen = 0;
  for await (const document of options.documents) {
    throwIfAborted(options.signal);
    seen += 1;
    if (seen <= count) digest.add(document);
    if (seen > count || (seen === count && !exhausted)) break;
  }
  const longer = exhausted && seen > count;
  if (seen < count || longer || digest.hex() !== inputSha256)
    throw inputChangedError(options.out, manifestFile);
  await rm(join(options.out, journalFile), { force: true });
  return manifest;
}

/** What a killed run had not renamed yet. */
async function removeTemporaries(folder: string): Promise<void> {
  const left = (await readdir(folder)).filter((name) =>
    /\.\d+\.([0-9a-f]{8}\.tmp|stale)$/u.test(name),
  );
  for (const name of left) await rm(join(folder, name), { force: true });
}
