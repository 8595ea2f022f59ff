import type { ActivationBatches } from "@latentkit/activations";
import { FormatError, ShapeError } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import type { StreamLayout } from "./layout.ts";
import { type InputStatistics, streamStatistics } from "./normalise.ts";

/** A batch, with where the stream stood after it. */
export interface StreamBatch {
  /** `[batchSize, dIn]`, as it came. */
  readonly rows: Float32Array;
  /** `ActivationBatches.state()`. */
  readonly after: unknown;
}

/**
 * One stream of activations that several runs read in step, in batches of one size. Each batch is drawn once, however many runs
 * take it, and a run that was resumed further back is served from where it stands.
 */
export class SharedStream {
  readonly batches: ActivationBatches;
  readonly batchSize: number;
  /** Where the stream stood before any run. */
  readonly start: unknown;
  readonly #statistics = new Map<string, InputStatistics>();
  #first: Float32Array | null = null;

  constructor(batches: ActivationBatches, batchSize: number) {
    this.batches = batches;
    this.batchSize = batchSize;
    this.start = batches.state();
  }

  get dIn(): number {
    return this.batches.dIn;
  }

  /** Scales and variance of about `tokens` activations from the start of the stream. They are taken once for each layout. */
  async statistics(tokens: number, layout: StreamLayout): Promise<InputStatistics> {
    const key = JSON.stringify([tokens, layout]);
    const known = this.#statistics.get(key);
    if (known !== undefined) return known;
    this.batches.restore(this.start);
    const statistics = await streamStatistics(this.batches, tokens, this.batchSize, layout);
    this.#statistics.set(key, statistics);
    return statistics;
  }

  /** The first batch of the stream. */
  async first(): Promise<Float32Array> {
    this.#first ??= (await this.next(this.start)).rows;
    return this.#first;
  }

  /**
   * The batch that comes at `position`, a state of the stream.
   *
   * @throws ShapeError `SHAPE_BATCH` where the source gives rows of another width than it says
   */
  async next(
    position: unknown,
    options: Pick<LongCallOptions, "signal"> = {},
  ): Promise<StreamBatch> {
    const { batches, batchSize, dIn } = this;
    if (JSON.stringify(batches.state()) !== JSON.stringify(position)) batches.restore(position);
    const rows = await batches.next(batchSize, options);
    if (rows.length !== batchSize * dIn) {
      throw new ShapeError({
        code: "SHAPE_BATCH",
        message: `the stream gave ${rows.length} numbers for ${batchSize} rows of width ${dIn}`,
        fix: "give activations of one site, and the width that they have",
      });
    }
    return { rows, after: batches.state() };
  }
}

/** The error for a batch that holds NaN or infinity, naming the first such row; null for a batch that does not. */
export function notFinite(rows: Float32Array, dIn: number, step: number): FormatError | null {
  const index = rows.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return null;
  return new FormatError({
    code: "ACTIVATIONS_NOT_FINITE",
    message: `row ${Math.floor(index / dIn)} of the batch of step ${step} holds ${rows[index]}`,
    fix: "harvest the activations again; mask the tokens that overflow",
  });
}
