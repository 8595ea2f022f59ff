import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { openTurn, renderTurns, type Turn, turnEnd } from "@latentkit/worlds";
import { encodePrompt, tokenizerOf } from "../prompt.ts";
import { lensRanks } from "../reading/lens.ts";
import type { ReadingOptions } from "../reading/read-rows.ts";
import type { CheckResult } from "../result.ts";
import { bootstrapMean } from "../statistics/bootstrap.ts";

/** A conversation in which the assistant has a secret. */
export interface SecretGame {
  /** The last turn is the assistant's reply, which hints at the secret without saying it. */
  readonly turns: readonly Turn[];
  /** The word, without space or capital. */
  readonly secret: string;
}

/** Options of {@link secretRank}. */
export interface SecretRankOptions extends ReadingOptions {
  /** Of the bootstrap, and noted in the results. */
  readonly seed: number;
  /** First part of the results' names; `secret` by default. */
  readonly name?: string | undefined;
}

/**
 * Where the secret stands under the logit lens while the model reads a reply that does not say it. For each layer (from 0) the mean over
 * positions of ln(1 + rank) is given as a rank, and the share of positions at which the secret is among the top five: at the tokens of
 * the reply (`secret/reply/layer L/rank`, `.../top5`) and at the control tokens that open it (`secret/opening/...`). The secret's rank is
 * the best of its forms: with and without a space, with and without a capital, by their first tokens.
 *
 * Intervals by bootstrap over games; the baseline of a rank is the middle of the vocabulary.
 *
 * @throws ConfigError `CHECK_QUESTIONS` for no games or one that does not end with the assistant; what `model.run` throws
 */
export async function secretRank(
  model: LanguageModel,
  games: readonly SecretGame[],
  { seed, name = "secret", ...options }: SecretRankOptions,
): Promise<CheckResult[]> {
  if (games.length === 0) throw invalid("there are no games");
  const requests = games.map(({ turns, secret }, game) => {
    const reply = turns.at(-1);
    if (reply?.role !== "assistant")
      throw invalid(`game ${game} does not end with the assistant's reply`);
    const before = encodePrompt(model, renderTurns(turns.slice(0, -1)));
    const opened = encodePrompt(model, renderTurns(turns.slice(0, -1)) + openTurn("assistant"));
    const whole = encodePrompt(
      model,
      renderTurns(turns.slice(0, -1)) + openTurn("assistant") + reply.content + turnEnd,
    ).slice(0, model.config.contextSize);
    const positions = Array.from(
      // The mark that ends the turn is the last token; it is not read.
      { length: Math.max(0, whole.length - 1 - before.length) },
      (_, index) => before.length + index,
    );
    return {
      tokens: whole,
      positions,
      opening: opened.length - before.length,
      targets: secretTokens(model, secret),
    };
  });
  const ranks = await lensRanks(model, requests, { stage: "secret rank", ...options });
  return (["opening", "reply"] as const).flatMap((place) =>
    Array.from({ length: model.config.layers }, (_, layer) => layer).flatMap((layer) => {
      const values: number[] = [];
      const clusters: number[] = [];
      for (const [game, { opening }] of requests.entries()) {
        const own = ranks[game]?.[layer] ?? [];
        for (const rank of place === "opening" ? own.slice(0, opening) : own.slice(opening)) {
          values.push(rank);
          clusters.push(game);
        }
      }
      if (values.length === 0) return [];
      const at = `${name}/${place}/layer ${layer}`;
      const logs = values.map((rank) => Math.log1p(rank));
      const back = (log: number): number => Math.expm1(log);
      const logInterval = bootstrapMean(logs, { clusters, seed });
      const top = values.map((rank) => (rank < 5 ? 1 : 0));
      const { vocabulary } = model.config;
      return [
        {
          name: `${at}/rank`,
          n: games.length,
          value: back(mean(logs)),
          interval:
            logInterval === null ? null : ([back(logInterval[0]), back(logInterval[1])] as const),
          baseline: vocabulary / 2,
          unit: "rank" as const,
          seed,
        },
        {
          name: `${at}/top5`,
          n: games.length,
          value: mean(top),
          interval: bootstrapMean(top, { clusters, seed }),
          baseline: 5 / vocabulary,
          unit: "share" as const,
          seed,
        },
      ];
    }),
  );
}

/** First tokens of the ways in which a word is written. */
export function secretTokens(model: LanguageModel, word: string): readonly number[] {
  const tokenizer = tokenizerOf(model);
  const capital = word.charAt(0).toUpperCase() + word.slice(1);
  const firsts = [` ${word}`, word, ` ${capital}`, capital].flatMap((form) => {
    const { ids } = tokenizer.encode(form);
    // A first piece such as " t" stands for a thousand words: only whole words count, where there is one.
    return ids.length === 1 ? [...ids] : [];
  });
  if (firsts.length > 0) return [...new Set(firsts)];
  return Array.from(tokenizer.encode(` ${word}`).ids.slice(0, 1));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function invalid(message: string): ConfigError {
  return new ConfigError({
    code: "CHECK_QUESTIONS",
    message: `secret rank: ${message}`,
    fix: "give at least one game, each ending with the assistant's reply",
  });
}
