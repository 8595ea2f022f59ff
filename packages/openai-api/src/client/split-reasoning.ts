/** An answer, and what was said before it inside of `<think>`. */
export interface SplitText {
  readonly text: string;
  readonly reasoning: string | null;
}

/**
 * Takes a leading `<think> ... </think>` off a text. Templates may have opened it before the answer begins, so that only the closing
 * mark is in the text; and an answer that was cut off may never close it: then all of it is reasoning.
 */
export function splitReasoning(text: string): SplitText {
  const opened = /^\s*<think>/u.exec(text);
  const close = text.indexOf("</think>");
  if (close < 0)
    return opened === null
      ? { text, reasoning: null }
      : { text: "", reasoning: text.slice(opened[0].length).trim() };
  const start = opened === null ? 0 : opened[0].length;
  return {
    text: text.slice(close + "</think>".length).trim(),
    reasoning: text.slice(start, close).trim(),
  };
}
