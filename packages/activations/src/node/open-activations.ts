import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, IoError } from "@latentkit/core";
import { expectShape, hashBytes, openSafetensors } from "@latentkit/loaders";
import type { SafetensorsStore } from "@latentkit/loaders";
import { openFile, readJson } from "@latentkit/loaders/node";
import { z } from "zod";
import { addCounts, manifestSchema } from "../manifest.ts";
import type { Manifest, ShardRecord } from "../manifest.ts";
import type { Split } from "../split.ts";
import type { ActivationStore, DocumentRecord, Shard, ShardTokens } from "../store.ts";
import { differences } from "./differences.ts";
import { hashFile } from "./hash-file.ts";
import { journalFile, manifestFile } from "./harvest-state.ts";

/**
 * Opens a complete folder of activation shards. Checks the manifest and the size of every shard now, a shard's sha256 when it is
 * first read.
 *
 * @throws IoError `ACTIVATIONS_MISSING`, `HARVEST_UNFINISHED`
 * @throws FormatError `MANIFEST_COUNTS`, `SHARD_MISSING`, `SHARD_CORRUPT`, naming the file
 */
export async function openActivations(folder: string): Promise<ActivationStore> {
  if (!(await exists(join(folder, manifestFile)))) throw await missingError(folder);
  const manifest = await readJson(join(folder, manifestFile), manifestSchema);
  await checkManifest(folder, manifest);
  const verified = new Set<string>();

  async function withShard<T>(
    index: number,
    signal: AbortSignal | undefined,
    read: (store: SafetensorsStore, record: ShardRecord) => Promise<T>,
  ): Promise<T> {
    const record = manifest.shards[index];
    if (record === undefined) throw indexError(folder, index, manifest.shards.length);
    const path = join(folder, record.file);
    if (!verified.has(record.file)) {
      const found = await hashFile(path, signal);
      if (found === null) throw shardMissing(path);
      if (found.sha256 !== record.sha256)
        throw corruptError(path, "its sha256 is not the one in the manifest");
      verified.add(record.file);
    }
    const source = await openFile(path);
    try {
      return await read(await openSafetensors(source, signal), record);
    } finally {
      await source.close();
    }
  }

  return {
    name: folder,
    manifest,
    dIn: manifest.dIn,
    shards: (split?: Split) =>
      manifest.shards.flatMap((record, index) =>
        split === undefined || record.split === split ? [index] : [],
      ),
    readTokens: (index, { signal } = {}) => withShard(index, signal, readColumns),
    readShard: (index, { signal } = {}) =>
      withShard(index, signal, async (store, record): Promise<Shard> => {
        expectShape(store.info("activations"), [record.tokens, manifest.dIn], store.name);
        const columns = await readColumns(store, record);
        return { ...columns, activations: await store.readFloats("activations", { signal }) };
      }),
    readDocuments: () => readDocumentList(folder, manifest),
  };
}

async function readColumns(store: SafetensorsStore, record: ShardRecord): Promise<ShardTokens> {
  const integers = (name: string): Promise<Int32Array> => {
    expectShape(store.info(name), [record.tokens], store.name);
    return store.readIntegers(name);
  };
  const bytes = (name: string): Promise<Uint8Array> => {
    expectShape(store.info(name), [record.tokens], store.name);
    return store.readBytes(name);
  };
  return {
    record,
    tokens: await integers("tokens"),
    documents: await integers("documents"),
    contexts: await integers("contexts"),
    positions: await integers("positions"),
    starts: await integers("starts"),
    ends: await integers("ends"),
    roles: await bytes("roles"),
    turns: await integers("turns"),
    masks: await bytes("masks"),
  };
}

const documentSchema: z.ZodType<DocumentRecord> = z.object({
  index: z.number().int(),
  id: z.string(),
  split: z.enum(["train", "held-out"]),
  tokens: z.number().int(),
  contexts: z.number().int(),
});

async function readDocumentList(folder: string, manifest: Manifest): Promise<DocumentRecord[]> {
  const path = join(folder, manifest.documents.file);
  const bytes = await readFile(path).catch(() => null);
  if (bytes === null) throw shardMissing(path);
  if (hashBytes(bytes) !== manifest.documents.sha256)
    throw corruptError(path, "its sha256 is not the one in the manifest");
  const lines = bytes.toString("utf8").split("\n").filter(Boolean);
  return lines.map((line) => documentSchema.parse(JSON.parse(line)));
}

async function checkManifest(folder: string, manifest: Manifest): Promise<void> {
  const { splits, ...all } = manifest.counts;
  const ofSplit = (split: ShardRecord["split"]) =>
    addCounts(manifest.shards.filter((shard) => shard.split === split));
  const sums = {
    ...addCounts(manifest.shards),
    splits: { train: ofSplit("train"), "held-out": ofSplit("held-out") },
  };
  const [difference] = differences({ ...all, splits }, sums);
  if (difference !== undefined) {
    throw new FormatError({
      code: "MANIFEST_COUNTS",
      message: `counts.${difference.field} is ${String(difference.before)}, but the shards have ${String(difference.now)}`,
      fix: "the manifest was edited or mixed up with another: harvest again",
      where: join(folder, manifestFile),
    });
  }
  for (const record of manifest.shards) {
    const path = join(folder, record.file);
    const found = await stat(path).catch(() => null);
    if (found === null) throw shardMissing(path);
    if (found.size !== record.bytes)
      throw corruptError(path, `it has ${found.size} bytes, but ${record.bytes} were written`);
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

async function missingError(folder: string): Promise<IoError> {
  if (await exists(join(folder, journalFile))) {
    return new IoError({
      code: "HARVEST_UNFINISHED",
      message: "the harvest into this folder was stopped before its end",
      fix: "run the same harvest again: it goes on where it was",
      where: folder,
    });
  }
  return new IoError({
    code: "ACTIVATIONS_MISSING",
    message: `there is no ${manifestFile} here, so this is no folder of activations`,
    fix: "give the folder that harvest wrote to",
    where: folder,
  });
}

function shardMissing(path: string): FormatError {
  return new FormatError({
    code: "SHARD_MISSING",
    message: "the manifest names this file, but it is gone",
    fix: "run the same harvest again: it makes missing and damaged shards anew",
    where: path,
  });
}

function corruptError(path: string, message: string): FormatError {
  return new FormatError({
    code: "SHARD_CORRUPT",
    message: `the file is damaged: ${message}`,
    fix: "run the same harvest again: it makes missing and damaged shards anew",
    where: path,
  });
}

function indexError(folder: string, index: number, shards: number): IoError {
  return new IoError({
    code: "SHARD_INDEX",
    message: `shard ${index} was asked for, but there are ${shards}`,
    fix: "take indices from store.shards()",
    where: folder,
  });
}
