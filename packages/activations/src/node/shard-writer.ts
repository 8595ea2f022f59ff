import { join } from "node:path";
import {
  DTypeError,
  internalFault,
  IoError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { writeSafetensors } from "@latentkit/loaders/node";
import type { ActivationModel } from "../activation-model.ts";
import type { HarvestConfig, ShardRecord, TokenCounts } from "../manifest.ts";
import { computeMask, maskReasons } from "../mask.ts";
import type { Context } from "../packing.ts";
import type { Split } from "../split.ts";
import { hashFile } from "./hash-file.ts";
import { runContexts } from "../run-contexts.ts";

/** A context on its way into a shard, with what the shard stores beside its tokens. */
export interface NumberedContext {
  readonly context: Context;
  /** Index over both splits. */
  readonly index: number;
  /** Role codes, one a token. */
  readonly roles: Uint8Array;
}

/** A site's part in {@link writeShards}. */
export interface ShardTarget {
  readonly config: HarvestConfig;
  readonly medianNorm: number;
  readonly folder: string;
}

/** What {@link writeShards} needs of the harvest it is part of. */
export interface ShardJob<Target extends ShardTarget> {
  readonly model: ActivationModel;
  /** At least one; their configs differ in site, width and name of the model alone. */
  readonly targets: readonly Target[];
  readonly split: Split;
  /** Number of the shard within its split. */
  readonly number: number;
  readonly inputSha256: string;
  readonly signal: LongCallOptions["signal"];
  /** Called after each batch with the tokens that it held. */
  readonly onTokens: (tokens: number) => void;
}

/** Names sort in the order of the text. */
export function shardFile(split: Split, number: number): string {
  return `${split}-${String(number).padStart(5, "0")}.safetensors`;
}

/**
 * Runs the contexts once and writes each site's activations as one shard, whole or not at all. Its bytes depend on the contexts, the
 * config and the machine only: every shard starts a batch of its own. Yields a record as soon as its file is there.
 */
export async function* writeShards<Target extends ShardTarget>(
  job: ShardJob<Target>,
  contexts: readonly NumberedContext[],
): AsyncGenerator<{ readonly target: Target; readonly record: ShardRecord }, void, undefined> {
  const { targets } = job;
  const [first] = targets;
  if (first === undefined) return;
  const { batchSize, packing } = first.config;
  const tokens = contexts.reduce((sum, { context }) => sum + context.length, 0);
  const filled = targets.map((target) => ({
    target,
    activations: new Float32Array(tokens * target.config.dIn),
    masks: new Uint8Array(tokens),
  }));
  let row = 0;
  let padding = 0;
  for (let start = 0; start < contexts.length; start += batchSize) {
    // Without this, a run that never waits would keep Ctrl-C from being heard.
    await yieldToEventLoop();
    throwIfAborted(job.signal, "whole shards are kept");
    const batch = contexts.slice(start, start + batchSize).map(({ context }) => context);
    const configs = targets.map(({ config }) => config);
    const { sites, ...grid } = await runContexts(job.model, configs, batch);
    const before = row;
    for (const [place, { target, activations, masks }] of filled.entries()) {
      const ran = sites[place];
      if (ran === undefined) throw internalFault("a site was run without activations");
      const { dIn, mask: policy } = target.config;
      const mask = computeMask({ ...grid, ...ran, medianNorm: target.medianNorm, policy });
      row = before;
      for (const [at, { length }] of batch.entries()) {
        const from = at * grid.width;
        activations.set(ran.activations.subarray(from * dIn, (from + length) * dIn), row * dIn);
        masks.set(mask.subarray(from, from + length), row);
        row += length;
      }
    }
    for (const { length } of batch) padding += packing.contextSize - length;
    job.onTokens(row - before);
  }
  const columns = makeColumns(tokens, contexts);
  for (const { target, activations, masks } of filled) {
    const record = await writeOne(job, target, { columns, activations, masks });
    const counts = countMasks(masks, contexts.length, padding);
    yield { target, record: { ...record, ...counts } };
  }
}

/** Writes one file, and reads it back for its hash. */
async function writeOne(
  job: ShardJob<ShardTarget>,
  { config, folder }: ShardTarget,
  rows: {
    readonly columns: ReturnType<typeof makeColumns>;
    readonly activations: Float32Array;
    readonly masks: Uint8Array;
  },
): Promise<Omit<ShardRecord, keyof TokenCounts>> {
  const { columns, activations, masks } = rows;
  const { split } = job;
  const { dIn, dtype } = config;
  const tokens = masks.length;
  const file = shardFile(split, job.number);
  const path = join(folder, file);
  if (dtype === "f16") checkRange(activations, path);
  throwIfAborted(job.signal, "whole shards are kept");
  const shape = [tokens];
  const data = [
    { name: "activations", dtype, shape: [tokens, dIn], bytes: activations },
    { name: "tokens", dtype: "i32", shape, bytes: columns.tokens },
    { name: "documents", dtype: "i32", shape, bytes: columns.documents },
    { name: "contexts", dtype: "i32", shape, bytes: columns.contexts },
    { name: "positions", dtype: "i32", shape, bytes: columns.positions },
    { name: "starts", dtype: "i32", shape, bytes: columns.starts },
    { name: "ends", dtype: "i32", shape, bytes: columns.ends },
    { name: "roles", dtype: "u8", shape, bytes: columns.roles },
    { name: "turns", dtype: "i32", shape, bytes: columns.turns },
    { name: "masks", dtype: "u8", shape, bytes: masks },
  ] as const;
  const metadata = {
    format: "latentkit.activations",
    schemaVersion: "1",
    site: config.site,
    split,
  };
  await writeSafetensors(path, data, metadata, { signal: job.signal });
  const written = await hashFile(path, undefined);
  if (written === null) {
    throw new IoError({
      code: "SHARD_VANISHED",
      message: "the shard was gone right after it was written",
      fix: "find out what deletes files there, then run again",
      where: path,
    });
  }
  return { file, split, ...written, inputSha256: job.inputSha256 };
}

/** The largest number that rounds to a finite f16. */
const largestHalf = 65519;

function checkRange(activations: Float32Array, path: string): void {
  let largest = 0;
  for (const value of activations) largest = Math.max(largest, Math.abs(value));
  if (largest <= largestHalf) return;
  throw new DTypeError({
    code: "ACTIVATION_OVERFLOW",
    message: `an activation of ${largest.toPrecision(4)} does not fit into f16, whose largest number is 65504`,
    fix: "store bf16 or f32 in a new --out folder",
    where: path,
  });
}

function makeColumns(tokens: number, contexts: readonly NumberedContext[]) {
  const column = () => new Int32Array(tokens);
  const columns = {
    tokens: column(),
    documents: column(),
    contexts: column(),
    positions: column(),
    starts: column(),
    ends: column(),
    turns: column(),
    roles: new Uint8Array(tokens),
  };
  let row = 0;
  for (const { context, index, roles } of contexts) {
    const { length } = context;
    columns.tokens.set(context.tokens.subarray(0, length), row);
    columns.documents.fill(context.document, row, row + length);
    columns.contexts.fill(index, row, row + length);
    columns.starts.set(context.starts.subarray(0, length), row);
    columns.ends.set(context.ends.subarray(0, length), row);
    columns.turns.set(context.turns.subarray(0, length), row);
    columns.roles.set(roles, row);
    for (let position = 0; position < length; position++)
      columns.positions[row + position] = position;
    row += length;
  }
  return columns;
}

function countMasks(masks: Uint8Array, contexts: number, padding: number): TokenCounts {
  let kept = 0;
  let firstPosition = 0;
  let normOutlier = 0;
  for (const mask of masks) {
    if (mask === maskReasons.keep) kept += 1;
    else if (mask === maskReasons.firstPosition) firstPosition += 1;
    else normOutlier += 1;
  }
  return { contexts, tokens: masks.length, kept, masked: { firstPosition, padding, normOutlier } };
}
