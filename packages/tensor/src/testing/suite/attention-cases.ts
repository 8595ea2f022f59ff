import type { AttentionOptions } from "../../operators/attention.ts";
import type { Tensor } from "../../tensor.ts";
import type { Inputs } from "./agree.ts";

/** Sizes and masks of a case. */
export interface Sizes {
  readonly batch: number;
  readonly qLength: number;
  readonly past: number;
  readonly room: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly dHead: number;
  readonly causal: boolean;
  readonly window: number | null;
  readonly softCap: number | null;
  readonly masked: boolean;
}

/** A case without specialities; others change a part of it. */
export const small: Sizes = {
  batch: 2,
  qLength: 5,
  past: 3,
  room: 2,
  kvHeads: 2,
  group: 2,
  dHead: 6,
  causal: true,
  window: null,
  softCap: null,
  masked: false,
};

/** Every way to attend that has code of its own. */
export const variants: readonly (readonly [string, Sizes])[] = [
  ["causal", small],
  ["one key head", { ...small, kvHeads: 1, group: 3, room: 0 }],
  ["bidirectional", { ...small, causal: false }],
  ["window", { ...small, window: 3 }],
  ["soft cap", { ...small, softCap: 1.5 }],
  ["key mask", { ...small, past: 0, masked: true }],
  ["all at once", { ...small, qLength: 9, past: 2, window: 4, softCap: 2, masked: true }],
  ["bidirectional mask and cap", { ...small, causal: false, softCap: 2, masked: true }],
];

/** Inputs of attention. */
export interface Case {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly options: AttentionOptions;
}

/** Inputs of these sizes; a mask hides about a third of the keys, and all that the first queries of the first entry see. */
export function make(inputs: Inputs, sizes: Sizes): Case {
  const { batch, qLength, past, room, kvHeads, group, dHead, masked, ...options } = sizes;
  const kLength = past + qLength;
  const mask = Uint8Array.from({ length: batch * kLength }, (_, index) =>
    index < past + 2 || inputs.random.uniform() < 0.3 ? 0 : 1,
  );
  return {
    q: inputs.normal([batch, qLength, kvHeads * group, dHead]),
    k: inputs.normal([batch, kLength + room, kvHeads, dHead]),
    v: inputs.normal([batch, kLength + room, kvHeads, dHead]),
    options: {
      ...options,
      kLength,
      scale: 1 / Math.sqrt(dHead),
      keyMask: masked ? inputs.device.tensor(mask, [batch, kLength]) : null,
    },
  };
}

/** Attention written down: dense loops in f64 over a mask, sharing nothing with the kernels. */
export function formula(
  sizes: Sizes,
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  mask: ArrayLike<number> | undefined,
): Float64Array {
  const { batch, qLength, past, room, kvHeads, group, dHead, causal, window, softCap } = sizes;
  const [kLength, heads] = [past + qLength, kvHeads * group];
  const out = new Float64Array(batch * qLength * heads * dHead);
  for (let b = 0; b < batch; b++)
    for (let i = 0; i < qLength; i++)
      for (let h = 0; h < heads; h++) {
        const at = ((b * qLength + i) * heads + h) * dHead;
        const key = (j: number) =>
          ((b * (kLength + room) + j) * kvHeads + Math.floor(h / group)) * dHead;
        let total = 0;
        for (let j = 0; j < kLength; j++) {
          const distance = past + i - j;
          if (causal && distance < 0) continue;
          if (window !== null && distance >= window) continue;
          if (mask !== undefined && mask[b * kLength + j] === 0) continue;
          let score = 0;
          for (let d = 0; d < dHead; d++) score += (q[at + d] ?? 0) * (k[key(j) + d] ?? 0);
          score /= Math.sqrt(dHead);
          if (softCap !== null) score = softCap * Math.tanh(score / softCap);
          total += Math.exp(score);
          for (let d = 0; d < dHead; d++)
            out[at + d] = (out[at + d] ?? 0) + Math.exp(score) * (v[key(j) + d] ?? 0);
        }
        if (total > 0) for (let d = 0; d < dHead; d++) out[at + d] = (out[at + d] ?? 0) / total;
      }
  return out;
}
