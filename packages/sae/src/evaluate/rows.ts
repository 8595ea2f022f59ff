import { sparseCountFiring, sparseRowL0, SparseRows, type Tensor } from "@latentkit/tensor";
import { architectureOf } from "../architecture.ts";
import { magnitudes } from "../architectures/abs-topk.ts";
import { blockRowsFor, rowBlocks } from "../blocks.ts";
import type { Sae } from "../sae.ts";

/** One block of rows, encoded and decoded, on the host. */
export interface ReconstructedBlock {
  /** Rows `start .. end` of the input. */
  readonly start: number;
  readonly end: number;
  /** `[rows, dOut]`. */
  readonly reconstruction: Float32Array;
  /** Active latents of each row. */
  readonly l0: Float32Array;
}

/** Where {@link reconstructRows} counts how often latents fired. */
export interface FiringTally {
  /** Which of `counts` each row is counted in. */
  readonly groups: Int32Array;
  /** `[dSae]` each; added to. */
  readonly counts: readonly Int32Array[];
}

/**
 * Encodes and decodes rows `[n, dIn]` block by block.
 *
 * @param firing how often each latent fired is added here: to the one array, or to that of each row's group
 */
export async function* reconstructRows(
  sae: Sae,
  data: Float32Array,
  firing: FiringTally | Int32Array | null,
): AsyncGenerator<ReconstructedBlock, void, undefined> {
  const { device, config } = sae;
  const { dIn, dSae } = config;
  const { signed = false } = architectureOf(config.architecture);
  const tally = firing instanceof Int32Array ? { groups: null, counts: [firing] } : firing;
  const counts = (tally?.counts ?? []).map(() => device.zeros([dSae], "i32"));
  try {
    for (const [start, end] of rowBlocks(data.length / dIn, blockRowsFor(dSae))) {
      const [decoded, active] = device.scope(() => {
        const x = device.tensor(data.subarray(start * dIn, end * dIn), [end - start, dIn]);
        const rows = sae.encode(x);
        // Operators that count look for values above 0.
        const fired = signed ? magnitudes(rows) : rows;
        if (tally !== null) countFiring(fired, tally.groups?.subarray(start, end) ?? null, counts);
        return [sae.decode(rows, x), sparseRowL0(fired)] as const;
      });
      try {
        yield { start, end, reconstruction: await decoded.floats(), l0: await active.floats() };
      } finally {
        decoded.dispose();
        active.dispose();
      }
    }
    for (const [group, into] of (tally?.counts ?? []).entries()) {
      const counted = await counts[group]?.integers();
      for (const [latent, count] of (counted ?? []).entries())
        into[latent] = (into[latent] ?? 0) + count;
    }
  } finally {
    for (const tensor of counts) tensor.dispose();
  }
}

/** Counts rows by runs of one group: rows of a document are neighbours. */
function countFiring(rows: SparseRows, groups: Int32Array | null, counts: readonly Tensor[]): void {
  const [first] = counts;
  if (groups === null) {
    if (first !== undefined) sparseCountFiring(rows, first);
    return;
  }
  for (let start = 0; start < groups.length;) {
    const group = groups[start] ?? 0;
    let end = start + 1;
    while (end < groups.length && groups[end] === group) end++;
    const into = counts[group];
    using run = new SparseRows({
      width: rows.width,
      counts: rows.counts.rows(start, end),
      indices: rows.indices.rows(start, end),
      values: rows.values.rows(start, end),
    });
    if (into !== undefined) sparseCountFiring(run, into);
    start = end;
  }
}

/** The figures that training follows. */
export interface RowFigures {
  readonly rows: number;
  readonly l0: number;
  /** NaN where the rows do not vary, so that there is nothing to explain. */
  readonly fvu: number;
  /** How often each latent fired. */
  readonly firing: Int32Array;
}

/**
 * L0, FVU and firing counts over rows `[n, dIn]`, all of them.
 *
 * @param targets what a transcoder should make of them, `[n, dOut]`
 */
export async function evaluateRows(
  sae: Sae,
  data: Float32Array,
  targets: Float32Array = data,
): Promise<RowFigures> {
  const { dSae } = sae.config;
  const { dOut } = sae;
  const firing = new Int32Array(dSae);
  const variance = new VarianceSums(dOut);
  variance.add(targets);
  let squaredError = 0;
  let active = 0;
  for await (const { start, reconstruction, l0 } of reconstructRows(sae, data, firing)) {
    for (let index = 0; index < reconstruction.length; index++)
      squaredError += ((reconstruction[index] ?? 0) - (targets[start * dOut + index] ?? 0)) ** 2;
    for (const count of l0) active += count;
  }
  const rows = targets.length / dOut;
  const whole = variance.total();
  const fvu = whole > 0 ? squaredError / whole : Number.NaN;
  return { rows, l0: active / rows, fvu, firing };
}

/** Sums for E||x - Ex||^2, shifted by the first row so that a large mean does not eat the digits. */
export class VarianceSums {
  readonly dIn: number;
  readonly #sums: Float64Array;
  #shift: Float64Array | null = null;
  #squares = 0;
  #rows = 0;

  constructor(dIn: number) {
    this.dIn = dIn;
    this.#sums = new Float64Array(dIn);
  }

  add(data: Float32Array): void {
    const { dIn } = this;
    if (data.length === 0) return;
    this.#shift ??= Float64Array.from(data.subarray(0, dIn));
    const shift = this.#shift;
    for (let start = 0; start < data.length; start += dIn) {
      for (let column = 0; column < dIn; column++) {
        const value = (data[start + column] ?? 0) - (shift[column] ?? 0);
        this.#squares += value * value;
        this.#sums[column] = (this.#sums[column] ?? 0) + value;
      }
    }
    this.#rows += data.length / dIn;
  }

  /** Sum over rows of ||x - mean||^2. */
  total(): number {
    let result = this.#squares;
    for (const sum of this.#sums) result -= (sum * sum) / this.#rows;
    return result;
  }
}
