import { sparseCountFiring, sparseRowL0 } from "@latentkit/tensor";
import { blockRowsFor, rowBlocks } from "../blocks.ts";
import type { Sae } from "../sae.ts";

/** One block of rows, encoded and decoded, on the host. */
export interface ReconstructedBlock {
  /** Rows `start .. end` of the input. */
  readonly start: number;
  readonly end: number;
  /** `[rows, dIn]`. */
  readonly reconstruction: Float32Array;
  /** Active latents of each row. */
  readonly l0: Float32Array;
}

/**
 * Encodes and decodes rows `[n, dIn]` block by block.
 *
 * @param firing i32 `[dSae]`: how often each latent fired is added here
 */
export async function* reconstructRows(
  sae: Sae,
  data: Float32Array,
  firing: Int32Array | null,
): AsyncGenerator<ReconstructedBlock, void, undefined> {
  const { device, config } = sae;
  const { dIn, dSae } = config;
  const counts = device.zeros([dSae], "i32");
  try {
    for (const [start, end] of rowBlocks(data.length / dIn, blockRowsFor(dSae))) {
      const [decoded, active] = device.scope(() => {
        const rows = sae.encode(
          device.tensor(data.subarray(start * dIn, end * dIn), [end - start, dIn]),
        );
        sparseCountFiring(rows, counts);
        return [sae.decode(rows), sparseRowL0(rows)] as const;
      });
      try {
        yield { start, end, reconstruction: await decoded.floats(), l0: await active.floats() };
      } finally {
        decoded.dispose();
        active.dispose();
      }
    }
    if (firing !== null)
      for (const [latent, count] of (await counts.integers()).entries())
        firing[latent] = (firing[latent] ?? 0) + count;
  } finally {
    counts.dispose();
  }
}

/** The figures that training follows. */
export interface RowFigures {
  readonly rows: number;
  readonly l0: number;
  readonly fvu: number;
  /** How often each latent fired. */
  readonly firing: Int32Array;
}

/** L0, FVU and firing counts over rows `[n, dIn]`, all of them. */
export async function evaluateRows(sae: Sae, data: Float32Array): Promise<RowFigures> {
  const { dIn, dSae } = sae.config;
  const firing = new Int32Array(dSae);
  const variance = new VarianceSums(dIn);
  variance.add(data);
  let squaredError = 0;
  let active = 0;
  for await (const { start, reconstruction, l0 } of reconstructRows(sae, data, firing)) {
    for (let index = 0; index < reconstruction.length; index++)
      squaredError += ((reconstruction[index] ?? 0) - (data[start * dIn + index] ?? 0)) ** 2;
    for (const count of l0) active += count;
  }
  const rows = data.length / dIn;
  return { rows, l0: active / rows, fvu: squaredError / variance.total(), firing };
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
