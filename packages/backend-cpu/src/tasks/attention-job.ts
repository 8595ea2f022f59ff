// What the tasks of attention are told, and how its work is cut.

import type { TaskArguments } from "./task.ts";

/** Queries of a block. */
export const queryBlock = 128;
/** Keys of a block: queryBlock rows of scores stay in the second cache, two such matrices in the gradient. */
export const keyBlock = 512;
export const gradientKeyBlock = 256;

/** What the products' scores are multiplied with: weights are powers of 2, and a cap, which comes first, is for powers of e. */
export function scoreScale({ scale, softCap }: AttentionJob): number {
  return softCap === 0 ? scale * Math.LOG2E : scale;
}

/** A job's sizes and addresses. Kernels pack it, tasks unpack it; addresses are 0 for what there is not. */
export interface AttentionJob {
  readonly q: number;
  readonly k: number;
  readonly v: number;
  readonly keyMask: number;
  readonly out: number;
  readonly logSumExp: number;
  readonly qLength: number;
  readonly kLength: number;
  readonly kCapacity: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly scale: number;
  readonly causal: number;
  /** 0 for none, as is the cap. */
  readonly window: number;
  readonly softCap: number;
  /** What follows is for the gradient alone. */
  readonly dOut: number;
  readonly dq: number;
  readonly dk: number;
  readonly dv: number;
  /** Items that share a key head's work. */
  readonly parts: number;
  /** Elements from one row of dk and dv to the next, from one batch entry to the next, and from one part to the next. */
  readonly keyRow: number;
  readonly keyEntry: number;
  readonly keyPart: number;
}

/** The job as numbers. */
export function packAttention(job: AttentionJob): readonly number[] {
  return [
    job.q,
    job.k,
    job.v,
    job.keyMask,
    job.out,
    job.logSumExp,
    job.qLength,
    job.kLength,
    job.kCapacity,
    job.heads,
    job.kvHeads,
    job.dHead,
    job.scale,
    job.causal,
    job.window,
    job.softCap,
    job.dOut,
    job.dq,
    job.dk,
    job.dv,
    job.parts,
    job.keyRow,
    job.keyEntry,
    job.keyPart,
  ];
}

export function unpackAttention(args: TaskArguments): AttentionJob {
  const at = (index: number): number => args[index] ?? 0;
  return {
    q: at(0),
    k: at(1),
    v: at(2),
    keyMask: at(3),
    out: at(4),
    logSumExp: at(5),
    qLength: at(6),
    kLength: at(7),
    kCapacity: at(8),
    heads: at(9),
    kvHeads: at(10),
    dHead: at(11),
    scale: at(12),
    causal: at(13),
    window: at(14),
    softCap: at(15),
    dOut: at(16),
    dq: at(17),
    dk: at(18),
    dv: at(19),
    parts: at(20),
    keyRow: at(21),
    keyEntry: at(22),
    keyPart: at(23),
  };
}

/** Bytes of scratch for a block of scores and the numbers of its rows. */
export function attentionScratchBytes(qLength: number, kLength: number): number {
  const rows = Math.min(queryBlock, qLength);
  return rows * Math.min(keyBlock, kLength) * 4 + rows * 12 + 64;
}

/** Bytes of scratch of the gradient: two such blocks. */
export function attentionGradientScratchBytes(qLength: number, kLength: number): number {
  const rows = Math.min(queryBlock, qLength);
  return 2 * rows * Math.min(gradientKeyBlock, kLength) * 4 + rows * 4 + 64;
}

/** A block of queries of one head, and the keys that any of them sees. */
export interface QueryBlock {
  readonly entry: number;
  readonly head: number;
  readonly kvHead: number;
  /** First row of the block, and how many. */
  readonly start: number;
  readonly rows: number;
  /** Position of the first row. */
  readonly position: number;
  readonly firstKey: number;
  readonly endKey: number;
}

/** Blocks of one head. */
export function blocksOf(qLength: number): number {
  return Math.ceil(qLength / queryBlock);
}

export function queryBlockOf(
  job: AttentionJob,
  entry: number,
  head: number,
  block: number,
): QueryBlock {
  const { qLength, kLength, heads, kvHeads, causal, window } = job;
  const start = block * queryBlock;
  const rows = Math.min(queryBlock, qLength - start);
  const position = kLength - qLength + start;
  return {
    entry,
    head,
    kvHead: Math.floor(head / (heads / kvHeads)),
    start,
    rows,
    position,
    firstKey: window === 0 ? 0 : Math.max(0, position + 1 - window),
    endKey: causal === 0 ? kLength : Math.min(kLength, position + rows),
  };
}

/** Byte offset of a query's first element. */
export function queryAt(
  { qLength, heads, dHead }: AttentionJob,
  entry: number,
  row: number,
  head: number,
) {
  return ((entry * qLength + row) * heads + head) * dHead * 4;
}

/** Byte offset of a key's first element. */
export function keyAt(
  { kCapacity, kvHeads, dHead }: AttentionJob,
  entry: number,
  key: number,
  head: number,
) {
  return ((entry * kCapacity + key) * kvHeads + head) * dHead * 4;
}
