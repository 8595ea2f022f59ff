import { FormatError } from "@latentkit/core";
import type { ActivationBatches } from "@latentkit/activations";
import type { StreamLayout } from "./layout.ts";

/** Scale and variance of the activations, estimated once before training. */
export interface InputStatistics {
  /** C = sqrt(mean ||x||^2): training sees x / C, so that lambda, eps and theta0 mean the same at every site. */
  readonly scale: number;
  /**
   * C of each of the layout's groups of columns, where there are several: a transcoder's input and target, a crosscoder's sites.
   * `scale` is the first.
   */
  readonly scales?: readonly number[] | undefined;
  /** E||y - Ey||^2 / C^2, the total variance of what training reconstructs; 1 for an autoencoder's data of mean 0. */
  readonly variance: number;
}

/** C of each of a layout's groups of columns. */
export function scalesOf({ scale, scales }: InputStatistics): readonly number[] {
  return scales ?? [scale];
}

/** Running sums over activations, in f64. */
export class StatisticsSums {
  readonly #sums: Float64Array;
  /** Of each of `#groups`. */
  readonly #squares: Float64Array;
  readonly #groups: readonly number[];
  #rows = 0;

  /** @param groups widths of neighbouring columns that have a scale of their own; all have one by default */
  constructor(dIn: number, groups: readonly number[] = [dIn]) {
    this.#sums = new Float64Array(dIn);
    this.#groups = groups;
    this.#squares = new Float64Array(groups.length);
  }

  /** Takes rows `[n, dIn]`. */
  add(data: Float32Array): void {
    const dIn = this.#sums.length;
    for (let start = 0; start < data.length; start += dIn) {
      let column = 0;
      for (const [group, width] of this.#groups.entries()) {
        let squares = this.#squares[group] ?? 0;
        for (const end = column + width; column < end; column++) {
          const value = data[start + column] ?? 0;
          squares += value * value;
          this.#sums[column] = (this.#sums[column] ?? 0) + value;
        }
        this.#squares[group] = squares;
      }
    }
    this.#rows += data.length / dIn;
  }

  /**
   * @param options.target which groups are reconstructed; all by default
   * @param options.shared whether the first group's scale is that of all
   * @throws FormatError `ACTIVATIONS_NOT_FINITE` for NaN or infinity, `ACTIVATIONS_CONSTANT` where nothing varies
   */
  statistics(
    options: { readonly target?: ReadonlySet<number>; readonly shared?: boolean } = {},
  ): InputStatistics {
    const { target, shared = false } = options;
    const about = `among ${this.#rows} activations of width ${this.#sums.length}`;
    const scales: number[] = [];
    let variance = 0;
    let column = 0;
    for (const [group, width] of this.#groups.entries()) {
      const meanSquare = (this.#squares[group] ?? 0) / this.#rows;
      if (!Number.isFinite(meanSquare)) {
        throw new FormatError({
          code: "ACTIVATIONS_NOT_FINITE",
          message: `${about} some are NaN or infinite`,
          fix: "harvest them again; mask the tokens that overflow",
        });
      }
      let own = meanSquare;
      for (const end = column + width; column < end; column++)
        own -= ((this.#sums[column] ?? 0) / this.#rows) ** 2;
      if (!(own > 1e-12 * meanSquare)) {
        throw new FormatError({
          code: "ACTIVATIONS_CONSTANT",
          message: `${about} nothing varies${this.#groups.length === 1 ? "" : ` in columns ${column - width} to ${column - 1}`}`,
          fix: "give activations of a site that depends on the token",
        });
      }
      const [first = Math.sqrt(meanSquare)] = scales;
      const scale = shared ? first : Math.sqrt(meanSquare);
      scales.push(scale);
      if (target?.has(group) !== false)
        variance += own / (shared && group > 0 ? scale * scale : meanSquare);
    }
    const [scale = 1] = scales;
    return { scale, ...(scales.length === 1 ? {} : { scales }), variance };
  }
}

/** Statistics of about `tokens` activations of the stream, which stands afterwards where it stood before. */
export async function streamStatistics(
  batches: ActivationBatches,
  tokens: number,
  batchSize: number,
  layout: Pick<StreamLayout, "groups" | "sharedScale" | "transcoder"> = {
    groups: [batches.dIn],
    sharedScale: false,
    transcoder: false,
  },
): Promise<InputStatistics> {
  const state = batches.state();
  const sums = new StatisticsSums(batches.dIn, layout.groups);
  const size = Math.min(batchSize, tokens, batches.uniqueTokens);
  // How many there are is known of a live text only once it has ended.
  for (let seen = 0; seen < Math.min(tokens, batches.uniqueTokens); seen += size)
    sums.add(await batches.next(size));
  batches.restore(state);
  // A transcoder reconstructs the second group, from the first.
  return sums.statistics({
    ...(layout.transcoder ? { target: new Set([1]) } : {}),
    shared: layout.sharedScale,
  });
}
