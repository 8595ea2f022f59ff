import { type LongCallOptions, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { take, type Tensor } from "@latentkit/tensor";
import { capturedAt, layersOf } from "./captured.ts";
import { positionIn, tokenByRow } from "./places.ts";
import { lastResidual, requireStream } from "./residual-sites.ts";

/** Options of {@link logitLens}. */
export interface LogitLensOptions extends LongCallOptions {
  /**
   * Residual sites, or what is added to the stream (`hook_attn_out`, `hook_mlp_out`, embeddings). If left out: the stream as it enters
   * each block, and as it leaves the last.
   */
  readonly sites?: readonly string[] | undefined;
  /** Places on the `pos` axis, negative ones from the end; all if left out. */
  readonly positions?: readonly number[] | undefined;
  /** How many of the likeliest tokens are named at each place; 5 if left out. */
  readonly topK?: number | undefined;
  /** Tokens whose rank and log-probability are wanted at each place; or `"next"`: the token that follows there. */
  readonly targets?: readonly number[] | "next" | undefined;
  /** Whether the results hold all logits; false by default. */
  readonly keepLogits?: boolean | undefined;
}

/** A token as the lens sees it. */
export interface LensToken {
  readonly token: number;
  readonly logit: number;
  /** Natural logarithm. */
  readonly logProbability: number;
  /** Tokens with a larger logit: 0 for the likeliest. */
  readonly rank: number;
}

/** One place of one site. */
export interface LensPlace {
  readonly row: number;
  readonly position: number;
  /** The likeliest first; of equal ones the lower id. */
  readonly top: readonly LensToken[];
  /** The targets, in their order; with `"next"` one, and none at the last position. */
  readonly targets: readonly LensToken[];
  /** `[vocabulary]`, where they were asked for. */
  readonly logits: Float32Array | null;
}

/** One site, with its places by row and position. */
export interface LensSite {
  readonly site: string;
  readonly places: readonly LensPlace[];
}

/**
 * The logit lens (nostalgebraist 2020): what the model's head, its final norm and soft cap included, makes of the stream before its
 * last layer. At the last `hook_resid_post` these are the model's own logits. `model.readOut` is the same for tensors.
 *
 * @param tokens rows of one length
 * @throws ConfigError `SITE_UNKNOWN`, `ANALYSIS_SITE`, `ANALYSIS_POSITION`, `ANALYSIS_TOKENS`; what `model.run` throws; AbortedError
 */
export async function logitLens(
  model: LanguageModel,
  tokens: readonly ArrayLike<number>[],
  options: LogitLensOptions = {},
): Promise<LensSite[]> {
  const sites = options.sites ?? [
    ...layersOf(model).map((layer) => `blocks.${layer}.hook_resid_pre`),
    lastResidual(model),
  ];
  for (const site of sites) requireStream(model, site, true);
  const length = tokens[0]?.length ?? 0;
  const positions = (options.positions ?? Array.from({ length }, (_, place) => place)).map(
    (place) => positionIn(place, length),
  );
  const { targets = [], topK = 5, keepLogits = false, signal, onProgress } = options;
  const wanted =
    targets === "next"
      ? null
      : tokenByRow(targets, targets.length, model.config.vocabulary, "targets");
  const targetsAt = (row: number, position: number): readonly number[] => {
    if (wanted !== null) return wanted;
    const next = tokens[row]?.[position + 1];
    return next === undefined ? [] : [next];
  };

  using run = model.run(tokens, { capture: sites, logits: "none" });
  const found: LensSite[] = [];
  for (const [index, site] of sites.entries()) {
    throwIfAborted(signal, "nothing is kept");
    // eslint-disable-next-line no-await-in-loop -- one site at a time, so that only its logits are in memory
    const logits = await readAt(model, capturedAt(run.captured, site), positions);
    const places = tokens.flatMap((_, row) =>
      positions.map((position, place): LensPlace => {
        const start = (row * positions.length + place) * model.config.vocabulary;
        const own = logits.subarray(start, start + model.config.vocabulary);
        const chosen = describe(own, topK, targetsAt(row, position));
        return { row, position, ...chosen, logits: keepLogits ? own.slice() : null };
      }),
    );
    found.push({ site, places });
    onProgress?.({ stage: "logit lens", done: index + 1, total: sites.length, unit: "sites" });
    // eslint-disable-next-line no-await-in-loop -- lets signals through
    await yieldToEventLoop();
  }
  return found;
}

/** The head's logits of a stream at some positions, `[batch, positions, vocabulary]`, on the host. */
async function readAt(
  model: LanguageModel,
  stream: Tensor,
  positions: readonly number[],
): Promise<Float32Array> {
  using logits = model.device.scope(() =>
    model.readOut(take(stream, Int32Array.from(positions), { axis: 1 })),
  );
  return logits.floats();
}

function describe(
  logits: Float32Array,
  topK: number,
  targets: readonly number[],
): { readonly top: LensToken[]; readonly targets: LensToken[] } {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  const normaliser = largest + Math.log(total);
  const describeToken = (token: number): LensToken => {
    const logit = logits[token] ?? Number.NaN;
    const rank = logits.reduce((count, other) => count + Number(other > logit), 0);
    return { token, logit, logProbability: logit - normaliser, rank };
  };
  return {
    top: topTokens(logits, topK).map(describeToken),
    targets: targets.map(describeToken),
  };
}

/** Ids of the k largest, the largest first. */
function topTokens(logits: Float32Array, k: number): number[] {
  const best: number[] = [];
  const at = (token: number | undefined) =>
    token === undefined ? Number.NEGATIVE_INFINITY : (logits[token] ?? Number.NEGATIVE_INFINITY);
  for (const [token, logit] of logits.entries()) {
    if (best.length >= k && !(logit > at(best[best.length - 1]))) continue;
    let place = best.length;
    while (place > 0 && logit > at(best[place - 1])) place--;
    best.splice(place, 0, token);
    if (best.length > k) best.pop();
  }
  return best;
}
