import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, MismatchError } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { readJson, writeFileAtomic } from "@latentkit/loaders/node";
import { journalSchema, manifestSchema } from "../manifest.ts";
import type { HarvestConfig, Journal, Manifest, Provenance, ShardRecord } from "../manifest.ts";
import { differences } from "./differences.ts";
import { hashFile } from "./hash-file.ts";

/** The file that makes a folder a complete set of shards. */
export const manifestFile = "manifest.json";
/** The file that says what is finished while a harvest goes on. */
export const journalFile = "journal.json";
/** One line for each document. */
export const documentsFile = "documents.jsonl";

/** What an earlier harvest left in the folder, checked. */
export interface HarvestState {
  /** As the folder has it: equal to what was asked for, but for the name under which the model was found. */
  readonly config: HarvestConfig;
  readonly medianNorm: number | null;
  /** Finished shards whose files are what they were, by name. */
  readonly shards: ReadonlyMap<string, ShardRecord>;
  /** The manifest, where the folder is complete and every file in it is whole. */
  readonly manifest: Manifest | null;
}

/**
 * Reads what is in the folder and throws unless it was made by the same settings. Shards are read through: one that is not what
 * was written is made again.
 *
 * @throws MismatchError `HARVEST_DIFFERS` naming the fields
 */
export async function openState(
  folder: string,
  config: HarvestConfig,
  provenance: Provenance,
  options: LongCallOptions,
): Promise<HarvestState> {
  const found = await readdir(folder);
  const manifest = found.includes(manifestFile)
    ? await readJson(join(folder, manifestFile), manifestSchema)
    : null;
  const journal =
    manifest === null && found.includes(journalFile)
      ? await readJson(join(folder, journalFile), journalSchema)
      : null;
  if (manifest === null && journal === null)
    return { config, medianNorm: null, shards: new Map(), manifest: null };

  const before = manifest === null ? journal?.config : configOf(manifest);
  const records = manifest?.shards ?? journal?.shards ?? [];
  // What a model is called depends on the path that it was opened by; its weights do not.
  const named = {
    ...config,
    model: { ...config.model, name: before?.model.name ?? config.model.name },
  };
  checkSame(folder, before, named);

  const shards = await wholeShards(folder, records, options);
  if (manifest !== null) {
    const listed = await hashFile(join(folder, manifest.documents.file), options.signal);
    if (shards.size === records.length && listed?.sha256 === manifest.documents.sha256) {
      return { config: named, medianNorm: manifest.mask.medianNorm, shards, manifest };
    }
  }
  // Bytes will be made here again, so now the machine has to be the same too.
  checkSame(folder, provenanceOf(manifest ?? journal?.provenance), provenance);
  return {
    config: named,
    medianNorm: manifest?.mask.medianNorm ?? journal?.medianNorm ?? null,
    shards,
    manifest: null,
  };
}

/** Says on disk what is finished. From here on the folder counts as incomplete. */
export async function writeJournal(
  folder: string,
  config: HarvestConfig,
  provenance: Provenance,
  medianNorm: number,
  shards: readonly ShardRecord[],
): Promise<void> {
  const journal: Journal = {
    schemaVersion: 1,
    kind: "activations-journal",
    config,
    provenance,
    medianNorm,
    shards,
  };
  await writeFileAtomic(join(folder, journalFile), `${JSON.stringify(journal)}\n`);
  await rm(join(folder, manifestFile), { force: true });
}

/** The part of a manifest that decides its shards, in the form of {@link HarvestConfig}. */
function configOf(manifest: Manifest): HarvestConfig {
  const { maskFirstPosition, maximumNormRatio, calibrationContexts } = manifest.mask;
  return {
    model: manifest.model,
    site: manifest.site,
    dIn: manifest.dIn,
    tokenizer: manifest.tokenizer,
    dtype: manifest.dtype,
    packing: manifest.packing,
    mask: { maskFirstPosition, maximumNormRatio, calibrationContexts },
    split: manifest.split,
    batchSize: manifest.batchSize,
    contextsPerShard: manifest.contextsPerShard,
    maximumTokens: manifest.maximumTokens,
  };
}

function provenanceOf(from: Provenance | undefined): Provenance | undefined {
  return from === undefined ? undefined : { backend: from.backend, versions: from.versions };
}

function checkSame(folder: string, before: unknown, now: unknown): void {
  const fields = differences(before, now);
  if (fields.length === 0) return;
  const list = fields.map(
    ({ field, before: was, now: is }) =>
      `${field} was ${JSON.stringify(was)} and is ${JSON.stringify(is)}`,
  );
  throw new MismatchError({
    code: "HARVEST_DIFFERS",
    message: `the folder holds another harvest: ${list.join("; ")}`,
    fix: "use a new --out folder, or the settings of the old one",
    where: folder,
  });
}

async function wholeShards(
  folder: string,
  records: readonly ShardRecord[],
  { signal, onProgress }: LongCallOptions,
): Promise<Map<string, ShardRecord>> {
  const whole = new Map<string, ShardRecord>();
  const total = records.reduce((sum, record) => sum + record.bytes, 0);
  let done = 0;
  for (const record of records) {
    const found = await hashFile(join(folder, record.file), signal);
    if (found?.sha256 === record.sha256) whole.set(record.file, record);
    done += record.bytes;
    onProgress?.({ stage: "verify shards", done, total, unit: "bytes" });
  }
  return whole;
}

/** The text is not what it was when the shard was written. */
export function inputChangedError(folder: string, what: string): MismatchError {
  return new MismatchError({
    code: "HARVEST_TEXT_CHANGED",
    message: `${what} was made from other text than was given now`,
    fix: "give the same text files in the same order, or use a new --out folder",
    where: folder,
  });
}

/** The text gave no context at all. */
export function noTokensError(documents: number, minimumTokens: number): FormatError {
  return new FormatError({
    code: "TEXT_TOO_SHORT",
    message: `none of ${documents} documents has ${minimumTokens} tokens or more`,
    fix: "give longer texts, or lower minimumTokens",
  });
}
