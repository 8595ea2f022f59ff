import type { Tokenizer } from "@latentkit/loaders";

/** Signs put around tokens in a prompt. */
export interface Markers {
  readonly open: string;
  readonly close: string;
}

/** In the order of preference. */
const pairs: readonly Markers[] = [
  { open: "<<", close: ">>" },
  { open: "[[", close: "]]" },
  { open: "{{", close: "}}" },
  { open: "\u27ea", close: "\u27eb" },
  { open: "\u27e6", close: "\u27e7" },
  { open: "\u3010", close: "\u3011" },
];

/**
 * Markers of which no sign occurs in the texts, so that no text can forge a mark, nor make one ambiguous by standing beside it. Where
 * each pair occurs somewhere, they come from the private use area.
 */
export function markersFor(texts: readonly string[]): Markers {
  const free = ({ open, close }: Markers): boolean =>
    texts.every((text) => !text.includes(open.charAt(0)) && !text.includes(close.charAt(0)));
  const found = pairs.find(free);
  if (found !== undefined) return found;
  for (let code = 0xe000; ; code += 2) {
    const unusual = {
      open: String.fromCodePoint(code),
      close: String.fromCodePoint(code + 1),
    };
    if (free(unusual)) return unusual;
  }
}

/** The text of tokens, in one line: line ends are shown as arrows, so that one example is one line of a prompt. */
export function plainText(tokenizer: Tokenizer, tokens: Int32Array): string {
  return oneLine(tokenizer.decode(tokens, { skipSpecialTokens: false }));
}

/** The text of tokens with runs of marked ones between markers. */
export function markedText(
  tokenizer: Tokenizer,
  tokens: Int32Array,
  marked: (position: number) => boolean,
  { open, close }: Markers,
): string {
  let text = "";
  for (let start = 0; start < tokens.length;) {
    let end = start + 1;
    while (end < tokens.length && marked(end) === marked(start)) end++;
    // Runs are decoded as a whole: a character may be several tokens.
    const part = oneLine(
      tokenizer.decode(tokens.subarray(start, end), { skipSpecialTokens: false }),
    );
    text += marked(start) ? `${open}${part}${close}` : part;
    start = end;
  }
  return text;
}

function oneLine(text: string): string {
  return text.replace(/\r\n|[\n\r\u0085\u2028\u2029]/gu, "\u21b5");
}
