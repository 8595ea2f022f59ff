import { ConfigError, Random } from "@latentkit/core";

/** Options of {@link repeatedTokens}. */
export interface RepeatedTokensOptions {
  readonly seed: number;
  /** Sequences; 1 if left out. */
  readonly rows?: number | undefined;
  /** Tokens that are then repeated: a sequence has twice as many, and the first token if there is one. */
  readonly length: number;
  /** Tokens are drawn from 0 to this, exclusive. */
  readonly vocabulary: number;
  /** A token to start with, such as BOS; never drawn. */
  readonly first?: number | undefined;
}

/**
 * Random tokens, no two of a sequence equal, and then the same again: on these a head that attends to what followed the same token
 * before is an induction head (Olsson et al. 2022). The same seed gives the same tokens.
 *
 * @throws ConfigError `REPEATED_TOKENS` where the vocabulary has too few tokens
 */
export function repeatedTokens(options: RepeatedTokensOptions): Int32Array[] {
  const { seed, rows = 1, length, vocabulary, first } = options;
  const known = Array.from({ length: vocabulary }, (_, token) => token).filter(
    (token) => token !== first,
  );
  if (!Number.isSafeInteger(length) || length < 1 || length > known.length) {
    throw new ConfigError({
      code: "REPEATED_TOKENS",
      message: `${length} different tokens were asked for, of ${known.length}`,
      fix: `give a length from 1 to ${known.length}`,
    });
  }
  const random = new Random(seed);
  return Array.from({ length: rows }, () => {
    // The first steps of a Fisher-Yates shuffle.
    const pool = [...known];
    const drawn = Array.from({ length }, (_, place) => {
      const other = place + random.integer(pool.length - place);
      const token = pool[other] ?? 0;
      pool[other] = pool[place] ?? 0;
      return token;
    });
    return Int32Array.from([...(first === undefined ? [] : [first]), ...drawn, ...drawn]);
  });
}
