import type { Turn } from "./document.ts";

/** Marks the beginning of a text, and the border between two. */
export const textStart = "<|endoftext|>";
/** Opens a turn; the role and a line break follow. */
export const turnStart = "<|im_start|>";
/** Closes a turn; a line break follows. */
export const turnEnd = "<|im_end|>";

/** The special tokens of the worlds' texts, in the order of their ids. */
export const specialTokens: readonly string[] = [textStart, turnStart, turnEnd];

/** The same rendering as {@link renderTurns}, as a Jinja template for tokenizers. */
export const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Turns in ChatML: `<|im_start|>ROLE\nCONTENT<|im_end|>\n`. */
export function renderTurns(turns: readonly Turn[]): string {
  return turns.map((turn) => openTurn(turn.role) + closeTurn(turn.content)).join("");
}

/** What precedes the content of a turn. */
export function openTurn(role: Turn["role"]): string {
  return `${turnStart}${role}\n`;
}

function closeTurn(content: string): string {
  return `${content}${turnEnd}\n`;
}
