import { ConfigError } from "@latentkit/core";

/** An index from 0, where negative ones count from the end. @throws ConfigError `ANALYSIS_POSITION` */
export function positionIn(position: number, length: number): number {
  const index = position < 0 ? position + length : position;
  if (Number.isInteger(index) && index >= 0 && index < length) return index;
  throw new ConfigError({
    code: "ANALYSIS_POSITION",
    message: `position ${position} is none of the ${length} positions of these tokens`,
    fix: `give one from 0 to ${length - 1}, or from -1 (the last) to -${length}`,
  });
}

/** One token for each row. @throws ConfigError `ANALYSIS_TOKENS` */
export function tokenByRow(
  given: number | readonly number[],
  rows: number,
  vocabulary: number,
  what: string,
): number[] {
  const tokens = typeof given === "number" ? Array.from({ length: rows }, () => given) : [...given];
  const bad = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary);
  if (tokens.length === rows && bad === undefined) return tokens;
  throw new ConfigError({
    code: "ANALYSIS_TOKENS",
    message:
      bad === undefined
        ? `${what} has ${tokens.length} tokens for ${rows} rows`
        : `${what} has ${bad}, and the vocabulary has ${vocabulary} tokens`,
    fix: `give one token for all rows, or a list of one for each, from 0 to ${vocabulary - 1}`,
  });
}
