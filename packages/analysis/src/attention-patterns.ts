import {
  ConfigError,
  type LongCallOptions,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import { blockSite, type LanguageModel } from "@latentkit/models";
import { capturedAt, layersOf } from "./captured.ts";
import { headStatistics, type HeadStatistics } from "./head-statistics.ts";

/** Options of {@link attentionPatterns}. */
export interface AttentionPatternsOptions extends LongCallOptions {
  /** All of them if left out. */
  readonly layers?: readonly number[] | undefined;
  /** Heads of each layer; all of them if left out. */
  readonly heads?: readonly number[] | undefined;
}

/** One head's attention. */
export interface HeadPattern {
  readonly layer: number;
  readonly head: number;
  /** For each sequence `[query, key]`, flat: what each query gives to each key; a query's row sums to 1. */
  readonly patterns: readonly Float32Array[];
  readonly statistics: HeadStatistics;
}

/**
 * Attention patterns with what each head attends to. For induction scores give repeated random tokens, see `repeatedTokens`.
 *
 * @param tokens rows of one length
 * @returns by layer, then head
 * @throws ConfigError `ANALYSIS_HEAD`, `SITE_UNKNOWN` for heads and layers that there are not; what `model.run` throws; AbortedError
 */
export async function attentionPatterns(
  model: LanguageModel,
  tokens: readonly ArrayLike<number>[],
  options: AttentionPatternsOptions = {},
): Promise<HeadPattern[]> {
  const { layers = layersOf(model), signal, onProgress } = options;
  const count = model.config.heads;
  const heads = options.heads ?? Array.from({ length: count }, (_, head) => head);
  const bad = heads.find((head) => !Number.isInteger(head) || head < 0 || head >= count);
  if (bad !== undefined) {
    throw new ConfigError({
      code: "ANALYSIS_HEAD",
      message: `there is no head ${bad}: each layer has ${count}`,
      fix: `give heads from 0 to ${count - 1}`,
    });
  }
  const sites = layers.map((layer) => blockSite(layer, "attn.hook_pattern"));
  using run = model.run(tokens, { capture: sites, logits: "none" });
  const found: HeadPattern[] = [];
  for (const [index, layer] of layers.entries()) {
    throwIfAborted(signal, "nothing is kept");
    const pattern = capturedAt(run.captured, blockSite(layer, "attn.hook_pattern"));
    // eslint-disable-next-line no-await-in-loop -- one layer on the host at a time
    const values = await pattern.floats();
    const area = (tokens[0]?.length ?? 0) ** 2;
    for (const head of heads) {
      const patterns = tokens.map((_, row) => {
        const start = (row * count + head) * area;
        return values.slice(start, start + area);
      });
      found.push({ layer, head, patterns, statistics: headStatistics(patterns, tokens) });
    }
    onProgress?.({
      stage: "attention patterns",
      done: index + 1,
      total: layers.length,
      unit: "layers",
    });
    // eslint-disable-next-line no-await-in-loop -- lets signals through
    await yieldToEventLoop();
  }
  return found;
}
