import type { Tokenizer } from "@latentkit/loaders";
import { z } from "zod";
import type { LatentWindow } from "../gather/example-collector.ts";
import type { Judge, Verdict } from "./judge.ts";
import { markedText, markersFor, plainText } from "./marked-text.ts";
import { explanationPrompt } from "./prompts.ts";
import { firingTokens } from "./score-explanation.ts";

const schema = z.object({ explanation: z.string().trim().min(1).max(2000) });

/** Stretches whose strength is told, for each example. */
const shownStrengths = 4;

/**
 * Asks a judge what a latent stands for, from windows with its tokens marked.
 *
 * @param windows strongest first
 * @param promoted tokens that its decoder row pushes, to be told as well
 */
export async function explainLatent(
  judge: Judge,
  tokenizer: Tokenizer,
  windows: readonly LatentWindow[],
  promoted: readonly string[] = [],
): Promise<Verdict<string>> {
  const markers = markersFor(windows.map(({ tokens }) => plainText(tokenizer, tokens)));
  const maximum = Math.max(...windows.map((window) => window.maximum));
  const examples = windows.map((window) => {
    const firing = firingTokens(window);
    const strengths = [...firing]
      .map((at) => ({
        text: tokenizer.tokenText(window.tokens[at] ?? 0),
        strength: Math.max(1, Math.round((10 * (window.values[at] ?? 0)) / maximum)),
      }))
      .toSorted((a, b) => b.strength - a.strength)
      .slice(0, shownStrengths);
    return {
      text: markedText(tokenizer, window.tokens, (at) => firing.has(at), markers),
      strengths,
    };
  });
  const verdict = await judge.ask(
    explanationPrompt(examples, markers, promoted),
    schema,
    '{"explanation": "..."}',
  );
  return verdict.ok ? { ok: true, value: verdict.value.explanation } : verdict;
}
