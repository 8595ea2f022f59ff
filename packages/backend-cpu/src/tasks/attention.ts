import type { Engine } from "../threads/engine.ts";
import {
  type AttentionJob,
  blocksOf,
  keyAt,
  keyBlock,
  type QueryBlock,
  queryAt,
  queryBlockOf,
  scoreScale,
  unpackAttention,
} from "./attention-job.ts";
import type { Tasks } from "./task.ts";

export const attentionTasks = {
  /** Blocks of queries, over [entry, head, block], the blocks that see most keys first. */
  attentionBlocks(engine, args, begin, end, scratch) {
    const job = unpackAttention(args);
    const blocks = blocksOf(job.qLength);
    const pairs = (index: number): [number, number] => [
      Math.floor(index / blocks),
      blocks - 1 - (index % blocks),
    ];
    for (let index = begin; index < end; index++) {
      const [pair, block] = pairs(index);
      const entry = Math.floor(pair / job.heads);
      attendBlock(engine, job, queryBlockOf(job, entry, pair % job.heads, block), scratch);
    }
  },

  /** Single queries, over [entry, row, head]. */
  attentionRows({ wasm }, args, begin, end, scratch) {
    const job = unpackAttention(args);
    const { qLength, kLength, heads, kvHeads, dHead, window, causal } = job;
    for (let index = begin; index < end; index++) {
      const head = index % heads;
      const row = Math.floor(index / heads) % qLength;
      const entry = Math.floor(index / heads / qLength);
      const position = kLength - qLength + row;
      const first = window === 0 ? 0 : Math.max(0, position + 1 - window);
      const last = causal === 0 ? kLength : Math.min(kLength, position + 1);
      const key = keyAt(job, entry, first, Math.floor(head / (heads / kvHeads)));
      const query = queryAt(job, entry, row, head);
      wasm.attendOne(
        job.q + query,
        job.k + key,
        job.v + key,
        kvHeads * dHead,
        last - first,
        dHead,
        job.scale,
        job.softCap,
        job.keyMask === 0 ? 0 : job.keyMask + entry * kLength + first,
        scratch,
        job.out + query,
        job.logSumExp === 0 ? 0 : job.logSumExp + ((entry * heads + head) * qLength + row) * 4,
      );
    }
  },
} as const satisfies Tasks;

function attendBlock(engine: Engine, job: AttentionJob, block: QueryBlock, scratch: number): void {
  const { wasm, gemm } = engine;
  const { heads, kvHeads, dHead, kLength } = job;
  const { entry, head, kvHead, start, rows, position, firstKey, endKey } = block;
  const width = Math.min(keyBlock, kLength);
  // f64 first, so that it is aligned as the scratch is.
  const sums = scratch;
  const peaks = sums + rows * 8;
  const scores = peaks + rows * 4;
  const query = queryAt(job, entry, start, head);
  const out = job.out + query;
  const logSumExp =
    job.logSumExp === 0 ? 0 : job.logSumExp + ((entry * heads + head) * job.qLength + start) * 4;
  for (let key = firstKey; key < endKey; key += width) {
    const keys = Math.min(width, endKey - key);
    const offset = keyAt(job, entry, key, kvHead);
    gemm.sgemm({
      transposeA: false,
      transposeB: true,
      m: rows,
      n: keys,
      k: dHead,
      alpha: scoreScale(job),
      a: job.q + query,
      strideA: heads * dHead,
      b: job.k + offset,
      strideB: kvHeads * dHead,
      beta: 0,
      out: scores,
      strideOut: keys,
    });
    const first = key === firstKey;
    wasm.attendBlock(
      scores,
      rows,
      keys,
      keys,
      position - key,
      job.causal,
      job.window,
      job.softCap,
      job.keyMask === 0 ? 0 : job.keyMask + entry * kLength + key,
      peaks,
      sums,
      Number(first),
      out,
      heads * dHead,
      dHead,
    );
    gemm.sgemm({
      transposeA: false,
      transposeB: false,
      m: rows,
      n: dHead,
      k: keys,
      alpha: 1,
      a: scores,
      strideA: keys,
      b: job.v + offset,
      strideB: kvHeads * dHead,
      beta: first ? 0 : 1,
      out,
      strideOut: heads * dHead,
    });
  }
  if (endKey <= firstKey) wasm.fillBytes(sums, 0, rows * 8);
  wasm.attendFinish(out, rows, dHead, heads * dHead, peaks, sums, logSumExp);
}
