import { renderChat, type Tokenizer } from "@latentkit/loaders";
import type { DocumentTurn } from "./documents.ts";

/** Tokens of a document, and which of them are to be predicted. */
export interface LabelledTokens {
  readonly ids: Int32Array;
  /** 1 for each token that is a target. */
  readonly targets: Uint8Array;
}

/** What a template opens the assistant's turn with, by tokenizer. */
const openings = new WeakMap<Tokenizer, string>();

/**
 * A conversation by the tokenizer's chat template. Targets are the tokens of the assistant's turns behind the marks that open them,
 * the closing mark included: that is what a model writes when it is prompted.
 *
 * @throws ConfigError `CHAT_TEMPLATE_MISSING`, `CHAT_TEMPLATE`, `CHAT_EMPTY`
 */
export function chatTargets(tokenizer: Tokenizer, turns: readonly DocumentTurn[]): LabelledTokens {
  const { text, ids, starts, turns: turnOf } = renderChat(tokenizer, turns);
  const opening = openingOf(tokenizer);
  const targets = new Uint8Array(ids.length);
  let contentStart = 0;
  for (let token = 0; token < ids.length; token++) {
    const turn = turnOf[token] ?? -1;
    const start = starts[token] ?? 0;
    if (turn !== (turnOf[token - 1] ?? -1))
      contentStart = text.startsWith(opening, start) ? start + opening.length : start;
    if (turns[turn]?.role === "assistant" && start >= contentStart) targets[token] = 1;
  }
  return { ids, targets };
}

function openingOf(tokenizer: Tokenizer): string {
  const known = openings.get(tokenizer);
  if (known !== undefined) return known;
  const question = [{ role: "user", content: "?" }];
  const closed = renderChat(tokenizer, question).text;
  const open = renderChat(tokenizer, question, { addGenerationPrompt: true }).text;
  const opening = open.startsWith(closed) ? open.slice(closed.length) : "";
  openings.set(tokenizer, opening);
  return opening;
}
