import {
  internalFault,
  type LongCallOptions,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { take, type Tensor } from "@latentkit/tensor";

/** A sequence, and the positions of it that something is to be read at. */
export interface ReadRequest {
  readonly tokens: ArrayLike<number>;
  /** From 0, ascending. */
  readonly positions: readonly number[];
}

/** How sequences are put into batches. */
export interface ReadingOptions extends LongCallOptions {
  /** Tokens of a batch, padding included; 4,096 by default. */
  readonly batchTokens?: number | undefined;
  /** What progress events call this. */
  readonly stage?: string | undefined;
}

/** The residual stream at the positions of some requests, on the device until the callback ends. */
export interface ReadBatch {
  /** Numbers of the requests, in the order of their rows. */
  readonly requests: readonly number[];
  /** `[rows, d_model]` by site; the rows of a request follow each other. */
  readonly rows: ReadonlyMap<string, Tensor>;
}

/**
 * Runs sequences of any lengths through the model, in batches of like lengths padded on the right, and hands over the values of residual
 * sites at the wanted positions. What `use` makes on the device inside its scope is freed, except what it returns.
 */
export async function readRows<T>(
  model: LanguageModel,
  requests: readonly ReadRequest[],
  sites: readonly string[],
  use: (batch: ReadBatch) => T,
  finish: (result: T, requests: readonly number[]) => Promise<void>,
  options: ReadingOptions = {},
): Promise<void> {
  const { batchTokens = 4_096, stage = "evaluate", signal, onProgress } = options;
  const order = requests
    .map((_, index) => index)
    .sort((a, b) => lengthOf(requests, b) - lengthOf(requests, a) || a - b);
  let done = 0;
  while (done < order.length) {
    throwIfAborted(signal, "no results were kept");
    const longest = Math.max(1, lengthOf(requests, order[done] ?? 0));
    const chosen = order.slice(done, done + Math.max(1, Math.floor(batchTokens / longest)));
    const result = model.device.scope(() => use(gather(model, requests, chosen, sites, longest)));
    // eslint-disable-next-line no-await-in-loop -- one batch is in memory at a time
    await finish(result, chosen);
    done += chosen.length;
    onProgress?.({ stage, done, total: order.length, unit: "sequences" });
    // eslint-disable-next-line no-await-in-loop -- signals get their turn
    await yieldToEventLoop();
  }
}

/** The site that `model.readOut` makes the model's logits of. */
export function lastResidual(model: LanguageModel): string {
  return `blocks.${model.config.layers - 1}.hook_resid_post`;
}

function gather(
  model: LanguageModel,
  requests: readonly ReadRequest[],
  chosen: readonly number[],
  sites: readonly string[],
  length: number,
): ReadBatch {
  const tokens = chosen.map((index) => {
    const row = new Int32Array(length);
    row.set(requests[index]?.tokens ?? []);
    return row;
  });
  const places = chosen.flatMap((index, row) =>
    (requests[index]?.positions ?? []).map((position) => row * length + position),
  );
  const { captured } = model.run(tokens, { capture: sites, logits: "none" });
  const width = model.config.dModel;
  const rows = new Map(
    sites.map((site) => {
      const value = captured.get(site);
      if (value === undefined) throw internalFault(`the run did not capture ${site}`);
      const flat = value.reshape([chosen.length * length, width]);
      return [site, take(flat, places, { axis: 0 })] as const;
    }),
  );
  return { requests: chosen, rows };
}

function lengthOf(requests: readonly ReadRequest[], index: number): number {
  return requests[index]?.tokens.length ?? 0;
}
