import { z } from "zod";

/**
 * Few names first, then more and more. A model that meets all names at once sees none of them often enough to find that a name
 * tells anything, and its loss stays on a plateau that is the longer the more names there are (Zucchet et al., 2025, "How do
 * language models learn facts?"); once it looks names up, it learns new ones fast.
 */
export interface Introduction {
  /** Documents until all names are in. */
  readonly documents: number;
  /** Known names of each type in the first of them, the most popular ones; the number grows by a steady factor. Default 16. */
  readonly known?: number | undefined;
}

export const introductionSchema = z.strictObject({
  documents: z.int().nonnegative(),
  known: z.int().positive().default(16),
});

/** An {@link Introduction} with its defaults. */
type ParsedIntroduction = z.output<typeof introductionSchema>;

/**
 * How many of `all` known names of a type the document of this index may mention. Names that nobody knows come in as the known ones
 * do: their share of the mentions is to be multiplied by the same fraction of `all`.
 */
export function introducedNames(
  introduction: ParsedIntroduction | undefined,
  index: number,
  all: number,
): number {
  if (introduction === undefined || index >= introduction.documents) return all;
  const first = Math.min(introduction.known, all);
  return Math.round(first * (all / first) ** (index / introduction.documents));
}
