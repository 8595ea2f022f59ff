import type { Engine } from "../threads/engine.ts";
import {
  type AttentionJob,
  blocksOf,
  gradientKeyBlock,
  keyAt,
  type QueryBlock,
  queryAt,
  queryBlockOf,
  scoreScale,
  unpackAttention,
} from "./attention-job.ts";
import type { Tasks } from "./task.ts";

export const attentionGradientTasks = {
  /**
   * Gradients, over [entry, key head, part]. A part takes every `parts`-th block of the queries that read the key head, and sums its
   * share of dk and dv in memory of its own.
   */
  attentionGradient(engine, args, begin, end, scratch) {
    const job = unpackAttention(args);
    const { heads, kvHeads, parts } = job;
    const group = heads / kvHeads;
    const blocks = blocksOf(job.qLength);
    for (let index = begin; index < end; index++) {
      const part = index % parts;
      const kvHead = Math.floor(index / parts) % kvHeads;
      const entry = Math.floor(index / parts / kvHeads);
      clearKeys(engine, job, entry, kvHead, part);
      for (let unit = part; unit < group * blocks; unit += parts) {
        const head = kvHead * group + Math.floor(unit / blocks);
        const block = queryBlockOf(job, entry, head, unit % blocks);
        attendBlockGradient(engine, job, block, part, scratch);
      }
    }
  },

  /** `[parts, count, partStride, columns, out, keys, capacity]`: sums of the parts over [entry, key]; 0 beyond the keys in use. */
  attentionSumParts({ wasm }, args, begin, end) {
    const [parts = 0, count = 0, stride = 0, columns = 0, out = 0, keys = 0, capacity = 0] = args;
    for (let row = begin; row < end; row++) {
      const [entry, key] = [Math.floor(row / capacity), row % capacity];
      const target = out + row * columns * 4;
      if (key >= keys) wasm.clearRows(target, 1, columns, columns);
      else {
        const from = parts + (entry * keys + key) * columns * 4;
        wasm.sumParts(from, count, stride, 1, columns, target, columns);
      }
    }
  },
} as const satisfies Tasks;

/** Addresses of a part's sums of dk and dv, 0 for what nobody needs. */
function keyGradients(job: AttentionJob, entry: number, kvHead: number, part: number) {
  const offset = (part * job.keyPart + entry * job.keyEntry + kvHead * job.dHead) * 4;
  return { dk: job.dk === 0 ? 0 : job.dk + offset, dv: job.dv === 0 ? 0 : job.dv + offset };
}

function clearKeys(engine: Engine, job: AttentionJob, entry: number, kvHead: number, part: number) {
  const rows = job.keyEntry / job.keyRow;
  const { dk, dv } = keyGradients(job, entry, kvHead, part);
  if (dk !== 0) engine.wasm.clearRows(dk, rows, job.dHead, job.keyRow);
  if (dv !== 0) engine.wasm.clearRows(dv, rows, job.dHead, job.keyRow);
}

function attendBlockGradient(
  engine: Engine,
  job: AttentionJob,
  block: QueryBlock,
  part: number,
  scratch: number,
): void {
  const { wasm, gemm } = engine;
  const { heads, kvHeads, dHead, kLength, scale } = job;
  const { entry, head, kvHead, start, rows, position, firstKey, endKey } = block;
  const width = Math.min(gradientKeyBlock, kLength);
  const deltas = scratch;
  const weights = deltas + rows * 4;
  const slopes = weights + rows * width * 4;
  const query = queryAt(job, entry, start, head);
  const queryRow = heads * dHead;
  const keyRow = kvHeads * dHead;
  const to = keyGradients(job, entry, kvHead, part);
  wasm.rowDots(job.dOut + query, job.out + query, rows, dHead, queryRow, deltas);
  if (job.dq !== 0) wasm.clearRows(job.dq + query, rows, dHead, queryRow);
  for (let key = firstKey; key < endKey; key += width) {
    const keys = Math.min(width, endKey - key);
    const offset = keyAt(job, entry, key, kvHead);
    const target = key * job.keyRow * 4;
    const scores = { transposeA: false, transposeB: true, m: rows, n: keys, k: dHead, beta: 0 };
    const forKeys = { transposeA: true, transposeB: false, m: keys, n: dHead, k: rows, beta: 1 };
    gemm.sgemm({
      ...scores,
      alpha: scoreScale(job),
      a: job.q + query,
      strideA: queryRow,
      b: job.k + offset,
      strideB: keyRow,
      out: weights,
      strideOut: keys,
    });
    gemm.sgemm({
      ...scores,
      alpha: 1,
      a: job.dOut + query,
      strideA: queryRow,
      b: job.v + offset,
      strideB: keyRow,
      out: slopes,
      strideOut: keys,
    });
    wasm.attendBlockGradient(
      weights,
      slopes,
      rows,
      keys,
      keys,
      position - key,
      job.causal,
      job.window,
      job.softCap,
      job.keyMask === 0 ? 0 : job.keyMask + entry * kLength + key,
      job.logSumExp + ((entry * heads + head) * job.qLength + start) * 4,
      deltas,
    );
    if (to.dv !== 0) {
      gemm.sgemm({
        ...forKeys,
        alpha: 1,
        a: weights,
        strideA: keys,
        b: job.dOut + query,
        strideB: queryRow,
        out: to.dv + target,
        strideOut: job.keyRow,
      });
    }
    if (to.dk !== 0) {
      gemm.sgemm({
        ...forKeys,
        alpha: scale,
        a: slopes,
        strideA: keys,
        b: job.q + query,
        strideB: queryRow,
        out: to.dk + target,
        strideOut: job.keyRow,
      });
    }
    if (job.dq !== 0) {
      gemm.sgemm({
        transposeA: false,
        transposeB: false,
        m: rows,
        n: dHead,
        k: keys,
        alpha: scale,
        a: slopes,
        strideA: keys,
        b: job.k + offset,
        strideB: keyRow,
        beta: 1,
        out: job.dq + query,
        strideOut: queryRow,
      });
    }
  }
}
