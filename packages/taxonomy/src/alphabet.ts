/** What the alphabet test needs to know about a vocabulary. */
export interface LetterIndex {
  /** Letter of each token id; `""` when the token starts with none. */
  readonly letters: readonly string[];
  /** Tokens by letter. */
  readonly counts: ReadonlyMap<string, number>;
  /** Tokens in all, special ones excluded. */
  readonly tokens: number;
  /** Ids that the test ignores. */
  readonly excluded: ReadonlySet<number>;
}

/** Settings of {@link alphabetTest}. */
export interface AlphabetOptions {
  /** Share of the first K that must agree; the paper's 0.9. */
  readonly purity?: number | undefined;
  /** Upper bound on K; the paper's 100. */
  readonly maximumTokens?: number | undefined;
  /** Letters whose K falls below this cannot qualify: three of three prove nothing. Default 10. */
  readonly minimumTokens?: number | undefined;
}

/** Outcome for one latent. */
export interface AlphabetVerdict {
  /** Letter with the purest head; `""` when no letter has enough tokens. */
  readonly letter: string;
  /** Whether the most promoted or the most suppressed tokens agree. */
  readonly side: "promoted" | "suppressed";
  /** Share of the first `k` tokens on that side that start with the letter. */
  readonly purity: number;
  /** min(100, half of the letter's tokens). */
  readonly k: number;
  readonly passes: boolean;
}

/**
 * First letter of a token: leading whitespace and the markers of byte-level and SentencePiece vocabularies are dropped, the rest
 * lower-cased. Digits, punctuation and partial bytes have no letter.
 */
export function firstLetter(text: string): string {
  const [first = ""] = text.replace(/^[\s\u0120\u010A\u2581]+/u, "").toLowerCase();
  return /^\p{L}$/u.test(first) ? first : "";
}

/** Indexes a vocabulary by first letter. @param texts decoded piece of each token id @param excluded special tokens */
export function letterIndex(
  texts: readonly string[],
  excluded: Iterable<number> = [],
): LetterIndex {
  const skip = new Set(excluded);
  const letters = texts.map((text, id) => (skip.has(id) ? "" : firstLetter(text)));
  const counts = new Map<string, number>();
  for (const letter of letters)
    if (letter !== "") counts.set(letter, (counts.get(letter) ?? 0) + 1);
  return { letters, counts, tokens: texts.length - skip.size, excluded: skip };
}

/** K of a letter: min(`maximumTokens`, half its tokens), so that a small vocabulary can still reach full purity. */
export function headSize(index: LetterIndex, letter: string, maximumTokens = 100): number {
  return Math.min(maximumTokens, Math.floor((index.counts.get(letter) ?? 0) / 2));
}

/**
 * Whether the tokens that a direction pushes most, up or down, start with one letter. Defined on outputs alone: most latents of
 * this class are not dense. Judge the purity beside the letter's base rate, counts / tokens.
 *
 * @param logits contribution to each token's logit, through the final norm's gain
 */
export function alphabetTest(
  logits: Float32Array,
  index: LetterIndex,
  options: AlphabetOptions = {},
): AlphabetVerdict {
  const { purity: cut = 0.9, maximumTokens = 100, minimumTokens = 10 } = options;
  let best: AlphabetVerdict = { letter: "", side: "promoted", purity: 0, k: 0, passes: false };
  for (const side of ["promoted", "suppressed"] as const) {
    const head = extremeTokens(logits, maximumTokens, side, index.excluded);
    const seen = new Map<string, number>();
    for (const [place, id] of head.entries()) {
      const letter = index.letters[id] ?? "";
      if (letter !== "") seen.set(letter, (seen.get(letter) ?? 0) + 1);
      // Every letter is judged at its own K, which may end here.
      for (const [candidate, count] of seen) {
        const k = headSize(index, candidate, maximumTokens);
        if (k !== place + 1 || k < minimumTokens) continue;
        if (count / k > best.purity)
          best = { letter: candidate, side, purity: count / k, k, passes: count / k >= cut };
      }
    }
  }
  return best;
}

/** Ids of the `count` largest (or smallest) values, most extreme first; ties by id. */
export function extremeTokens(
  logits: Float32Array,
  count: number,
  side: "promoted" | "suppressed",
  excluded: ReadonlySet<number> = new Set(),
): number[] {
  const sign = side === "promoted" ? 1 : -1;
  const ids: number[] = [];
  let floor = Number.NEGATIVE_INFINITY;
  const better = (a: number, b: number): number =>
    sign * ((logits[b] ?? 0) - (logits[a] ?? 0)) || a - b;
  for (let id = 0; id < logits.length; id++) {
    const value = sign * (logits[id] ?? 0);
    if (!(value > floor) || excluded.has(id)) continue;
    ids.push(id);
    // Keep up to twice the count, then cut: far fewer sorts than one per token.
    if (ids.length >= 2 * count + 16) {
      ids.sort(better).length = count;
      floor = sign * (logits[ids[count - 1] ?? 0] ?? 0);
    }
  }
  return ids.sort(better).slice(0, count);
}
