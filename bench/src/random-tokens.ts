import { Random } from "@latentkit/core";

/** `batch` rows of `context` tokens, the same each time. */
export function randomTokens(batch: number, context: number, vocabulary: number): number[][] {
  const random = new Random(0);
  return Array.from({ length: batch }, () =>
    Array.from({ length: context }, () => random.integer(vocabulary)),
  );
}
