import { FormatError } from "@latentkit/core";
import type { ActivationBatches } from "@latentkit/activations";

/** Scale and variance of the activations, estimated once before training. */
export interface InputStatistics {
  /** C = sqrt(mean ||x||^2): training sees x / C, so that lambda, eps and theta0 mean the same at every site. */
  readonly scale: number;
  /** E||x - Ex||^2 / C^2, the total variance of what training sees; 1 for data of mean 0. */
  readonly variance: number;
}

/** Running sums over activations, in f64. */
export class StatisticsSums {
  readonly #sums: Float64Array;
  #squares = 0;
  #rows = 0;

  constructor(dIn: number) {
    this.#sums = new Float64Array(dIn);
  }

  /** Takes rows `[n, dIn]`. */
  add(data: Float32Array): void {
    const dIn = this.#sums.length;
    for (let start = 0; start < data.length; start += dIn) {
      for (let column = 0; column < dIn; column++) {
        const value = data[start + column] ?? 0;
        this.#squares += value * value;
        this.#sums[column] = (this.#sums[column] ?? 0) + value;
      }
    }
    this.#rows += data.length / dIn;
  }

  /**
   * @throws FormatError `ACTIVATIONS_NOT_FINITE` for NaN or infinity, `ACTIVATIONS_CONSTANT` where nothing varies
   */
  statistics(): InputStatistics {
    const meanSquare = this.#squares / this.#rows;
    const about = `among ${this.#rows} activations of width ${this.#sums.length}`;
    if (!Number.isFinite(meanSquare)) {
      throw new FormatError({
        code: "ACTIVATIONS_NOT_FINITE",
        message: `${about} some are NaN or infinite`,
        fix: "harvest them again; mask the tokens that overflow",
      });
    }
    let variance = meanSquare;
    for (const sum of this.#sums) variance -= (sum / this.#rows) ** 2;
    if (!(variance > 1e-12 * meanSquare)) {
      throw new FormatError({
        code: "ACTIVATIONS_CONSTANT",
        message: `${about} nothing varies`,
        fix: "give activations of a site that depends on the token",
      });
    }
    return { scale: Math.sqrt(meanSquare), variance: variance / meanSquare };
  }
}

/** Statistics of about `tokens` activations of the stream, which stands afterwards where it stood before. */
export async function streamStatistics(
  batches: ActivationBatches,
  tokens: number,
  batchSize: number,
): Promise<InputStatistics> {
  const state = batches.state();
  const sums = new StatisticsSums(batches.dIn);
  const wanted = Math.min(tokens, batches.uniqueTokens);
  for (let seen = 0; seen < wanted; seen += Math.min(batchSize, wanted))
    sums.add(await batches.next(Math.min(batchSize, wanted)));
  batches.restore(state);
  return sums.statistics();
}
