import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { WorldDocument } from "@latentkit/worlds";
import { encodePrompt } from "../prompt.ts";
import type { ReadingOptions } from "../reading/read-rows.ts";
import { scoreTails } from "../reading/score.ts";
import type { CheckResult } from "../result.ts";
import { bootstrapMean } from "../statistics/bootstrap.ts";

/** Options of {@link validationLoss}. */
export interface ValidationLossOptions extends ReadingOptions {
  /** Of the bootstrap, and noted in the results. */
  readonly seed: number;
}

/**
 * Mean negative log-likelihood of documents, in nats a token, by world (`loss/WORLD`): each document in a context of its own, cut at the
 * model's context size. Intervals by bootstrap over documents.
 *
 * @throws ConfigError `CHECK_QUESTIONS` for a world without documents; what `model.run` throws
 */
export async function validationLoss(
  model: LanguageModel,
  documents: ReadonlyMap<string, readonly Pick<WorldDocument, "text">[]>,
  { seed, ...options }: ValidationLossOptions,
): Promise<CheckResult[]> {
  const all = [...documents].flatMap(([world, own]) =>
    own.map(({ text }, index) => ({
      world,
      index,
      tokens: encodePrompt(model, text).slice(0, model.config.contextSize),
    })),
  );
  const scored = all.filter(({ tokens }) => tokens.length > 1);
  const scores = await scoreTails(
    model,
    scored.map(({ tokens }) => ({ tokens, from: 1 })),
    // Every position's logits are made here, so batches are smaller.
    { batchTokens: 2_048, stage: "validation loss", ...options },
  );
  return [...documents.keys()].map((world) => {
    const values: number[] = [];
    const clusters: number[] = [];
    for (const [place, { world: own, index }] of scored.entries()) {
      if (own !== world) continue;
      for (const value of scores[place]?.logProbabilities ?? []) {
        values.push(-value);
        clusters.push(index);
      }
    }
    if (values.length === 0) {
      throw new ConfigError({
        code: "CHECK_QUESTIONS",
        message: `loss/${world}: there are no documents of two tokens or more`,
        fix: "give at least one document of each world",
        where: world,
      });
    }
    return {
      name: `loss/${world}`,
      n: new Set(clusters).size,
      value: values.reduce((sum, value) => sum + value, 0) / values.length,
      interval: bootstrapMean(values, { clusters, seed }),
      unit: "nats a token",
      seed,
    };
  });
}
