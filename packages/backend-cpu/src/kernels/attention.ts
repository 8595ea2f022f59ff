import type { AttentionKernels, AttentionPlan, Slice } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";
import {
  type AttentionJob,
  attentionGradientScratchBytes,
  attentionScratchBytes,
  blocksOf,
  packAttention,
  queryBlock,
} from "../tasks/attention-job.ts";

/** Queries below which attention goes row by row instead of through matrix products. */
const fewQueries = 8;
/** Numbers of keys and values that a chunk of single queries reads: some 50 microseconds. */
const rowGrain = 131_072;
/** Multiplications of a chunk of blocks: some 90 microseconds of a library. */
const chunkProducts = 4_000_000;
/** Items of the gradient's work at least, where there are as many blocks: what threads can share evenly. */
const leastItems = 12;

type Addresses = Pick<AttentionJob, "q" | "k" | "v" | "keyMask" | "out" | "logSumExp">;

/** A forward job; the gradient's own fields are 0. */
function jobOf(addresses: Addresses, plan: AttentionPlan): AttentionJob {
  const { qLength, kLength, kCapacity, heads, kvHeads, dHead, scale, causal } = plan;
  // Field by field: spreads take longer than the attention of one token.
  return {
    q: addresses.q,
    k: addresses.k,
    v: addresses.v,
    keyMask: addresses.keyMask,
    out: addresses.out,
    logSumExp: addresses.logSumExp,
    qLength,
    kLength,
    kCapacity,
    heads,
    kvHeads,
    dHead,
    scale,
    causal: Number(causal),
    window: plan.window ?? 0,
    softCap: plan.softCap ?? 0,
    dOut: 0,
    dq: 0,
    dk: 0,
    dv: 0,
    parts: 1,
    keyRow: 0,
    keyEntry: 0,
    keyPart: 0,
  };
}

export function attentionKernels({ heap, team, wasm }: Runtime): AttentionKernels {
  return {
    attention(q, k, v, keyMask, out, logSumExp, plan) {
      const { batch, qLength, kLength, heads, dHead } = plan;
      const addresses = {
        q: address(q),
        k: address(k),
        v: address(v),
        keyMask: addressOrNull(keyMask),
        out: address(out),
        logSumExp: addressOrNull(logSumExp),
      };
      const args = packAttention(jobOf(addresses, plan));
      if (qLength < fewQueries) {
        team.run("attentionRows", args, {
          count: batch * qLength * heads,
          grain: Math.ceil(rowGrain / (2 * dHead * Math.max(1, kLength))),
          scratchBytes: Math.ceil((kLength * 4 + 16) / 64) * 64,
        });
      } else {
        team.run("attentionBlocks", args, {
          count: batch * heads * blocksOf(qLength),
          grain: blockGrain(plan, 2),
          scratchBytes: Math.ceil(attentionScratchBytes(qLength, kLength) / 64) * 64,
        });
      }
    },

    attentionGradient({ q, k, v, keyMask, out, logSumExp, dOut }, { dq, dk, dv }, plan) {
      const { batch, qLength, kLength, kCapacity, heads, kvHeads, dHead } = plan;
      const items = batch * kvHeads;
      const units = (heads / kvHeads) * blocksOf(qLength);
      const parts = Math.min(units, Math.ceil(leastItems / items));
      const columns = kvHeads * dHead;
      const job = jobOf(
        {
          q: address(q),
          k: address(k),
          v: address(v),
          keyMask: addressOrNull(keyMask),
          out: address(out),
          logSumExp: address(logSumExp),
        },
        plan,
      );
      const run = (
        toKeys: number,
        toValues: number,
        [keyEntry, keyPart]: readonly [number, number],
      ): void => {
        const args = packAttention({
          ...job,
          dOut: address(dOut),
          dq: addressOrNull(dq),
          dk: toKeys,
          dv: toValues,
          parts,
          keyRow: columns,
          keyEntry,
          keyPart,
        });
        team.run("attentionGradient", args, {
          count: items * parts,
          grain: blockGrain(plan, (5 * units) / parts),
          scratchBytes: Math.ceil(attentionGradientScratchBytes(qLength, kLength) / 64) * 64,
        });
      };
      if (parts === 1 || (dk === null && dv === null)) {
        run(addressOrNull(dk), addressOrNull(dv), [kCapacity * columns, 0]);
        return;
      }
      const partSize = batch * kLength * columns;
      const bytes = parts * partSize * 4;
      const wanted = [dk, dv].filter((slice) => slice !== null);
      heap.withScratch(bytes * wanted.length, (first) => {
        const places = new Map<Slice, number>(
          wanted.map((slice, index) => [slice, first + index * bytes]),
        );
        const placeOf = (slice: Slice | null): number =>
          slice === null ? 0 : (places.get(slice) ?? 0);
        run(placeOf(dk), placeOf(dv), [kLength * columns, partSize]);
        for (const slice of wanted) {
          const sums = [placeOf(slice), parts, partSize, columns, address(slice)];
          team.run("attentionSumParts", [...sums, kLength, kCapacity], {
            count: batch * kCapacity,
            grain: Math.ceil(65_536 / (columns * parts)),
          });
        }
      });
    },

    attentionMask(keyMask, visible, hidden, out, plan) {
      const { batch, qLength, kLength, causal, window } = plan;
      wasm.attentionMask(
        addressOrNull(keyMask),
        keyMask === null ? 1 : batch,
        qLength,
        kLength,
        Number(causal),
        window ?? 0,
        visible,
        hidden,
        address(out),
      );
    },
  };
}

/** Items of a chunk, where each block of queries goes through so many products with all keys that it sees. */
function blockGrain(
  { qLength, kLength, dHead, causal, window }: AttentionPlan,
  products: number,
): number {
  const rows = Math.min(queryBlock, qLength);
  const seen = window === null ? kLength : Math.min(kLength, window + rows);
  // A causal block sees half of the keys on average.
  const work = (rows * seen * dHead * products) / (causal ? 2 : 1);
  return Math.max(1, Math.floor(chunkProducts / (work + 1)));
}
