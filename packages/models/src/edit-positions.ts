import { ConfigError } from "@latentkit/core";
import { concat, slice, type Tensor, where } from "@latentkit/tensor";
import type { BatchRow } from "./batch.ts";
import type { EditContext } from "./hook-run.ts";

/** A token that an edit may apply to. */
export interface EditToken {
  readonly id: number;
  /** Context position, counted from the first token of its own sequence. */
  readonly position: number;
  /** Its sequence, by the index that edits know it by: its place in the batch; while generating, its prompt's. */
  readonly row: number;
  /** Whether it was generated: it stands after the prompt's tokens, see `promptLengths` of a run. */
  readonly generated: boolean;
}

/**
 * Where an edit applies: at the tokens that satisfy all that is given, everywhere if nothing is. Others keep their value bit for bit.
 */
export interface EditPositions {
  /** Context positions, counted from the start of the sequence; or such a list for each row. */
  readonly positions?: readonly number[] | readonly (readonly number[])[] | undefined;
  /** The prompt's tokens, those that were generated after it, or both, the default. */
  readonly part?: "prompt" | "generated" | "all" | undefined;
  /** Whether a token is meant. */
  readonly where?: ((token: EditToken) => boolean) | undefined;
}

/** The edited value at the wanted positions and the old one elsewhere. */
export function atPositions(
  value: Tensor,
  edited: Tensor,
  options: EditPositions,
  context: EditContext,
): Tensor {
  const wanted = predicateOf(options);
  if (wanted === null) return edited;
  checkPerToken(context);
  const marks = marksOf(value, wanted, context);
  const [first = []] = marks;
  if (marks.every((row) => row.every((mark, place) => mark === first[place])))
    return inRuns(value, edited, first);
  const [batch = 0, length = 0, ...features] = value.shape;
  const mask = value.device.tensor(Uint8Array.from(marks.flat(), Number), [
    batch,
    length,
    ...features.map(() => 1),
  ]);
  return where(mask, edited, value);
}

/** By row and place on the `pos` axis of `value`, whether a token is wanted: never at padding. */
function marksOf(value: Tensor, wanted: Wanted, context: EditContext): readonly boolean[][] {
  return context.rows.map((row) =>
    tokensOf(value, row).map(
      (token) => token !== null && wanted({ ...token, row: row.index }, row, context.site.name),
    ),
  );
}

/** Scores and patterns have heads where other sites have positions. */
export function checkPerToken({ site }: EditContext): void {
  if (site.shape[1] === "pos") return;
  throw new ConfigError({
    code: "EDIT_SITE",
    message: `${site.name} has axes ${site.shape.join(", ")}, so its values have no features per token`,
    fix: "write an edit function for this site, or use replaceWith a tensor of the same shape, or scaleBy without positions",
    where: site.name,
  });
}

/** The element of `values` that belongs to a row: the one at the row's index. @throws ConfigError `EDIT_ROWS` */
export function ofRow<Value>(values: readonly Value[], row: BatchRow, site: string): Value {
  const value = values[row.index];
  if (value !== undefined) return value;
  throw new ConfigError({
    code: "EDIT_ROWS",
    message: `the edit of ${site} was given ${values.length} rows, and the run has a row ${row.index}`,
    fix: "give one for each sequence of the run; while generating, one for each prompt",
    where: site,
  });
}

/** The token at each place of the `pos` axis of `value`; null for padding. */
export function tokensOf(value: Tensor, row: BatchRow): readonly (Omit<EditToken, "row"> | null)[] {
  const length = value.shape[1] ?? 0;
  // Logits may be of each row's last token alone.
  const shift = length === 1 ? row.end - 1 : 0;
  return Array.from({ length }, (_, place) => {
    const at = place + shift - row.start;
    const id = row.tokens[at];
    if (id === undefined || place + shift >= row.end) return null;
    const position = row.position + at;
    return { id, position, generated: position >= row.promptLength };
  });
}

/** Whether an edit applies to a token. */
export type Wanted = (token: EditToken, row: BatchRow, site: string) => boolean;

/** What `options` ask of a token; null for nothing. */
export function predicateOf({
  positions,
  part = "all",
  where: chosen,
}: EditPositions): Wanted | null {
  if (positions === undefined && part === "all" && chosen === undefined) return null;
  const among = positions === undefined ? null : membership(positions);
  return (token, row, site) =>
    (part === "all" || (part === "generated") === token.generated) &&
    (among === null || among(token.position, row, site)) &&
    (chosen === undefined || chosen(token));
}

function membership(
  positions: readonly number[] | readonly (readonly number[])[],
): (position: number, row: BatchRow, site: string) => boolean {
  const byRow = positions.flatMap((entry) => (typeof entry === "number" ? [] : [new Set(entry)]));
  const all = new Set(positions.flatMap((entry) => (typeof entry === "number" ? [entry] : [])));
  if (byRow.length > 0) return (position, row, site) => ofRow(byRow, row, site).has(position);
  return (position) => all.has(position);
}

/** The same choice in all rows: neighbours at once. */
function inRuns(value: Tensor, edited: Tensor, marks: readonly boolean[]): Tensor {
  const sourceAt = (place: number) => (marks[place] === true ? edited : value);
  const length = marks.length;
  const pieces: Tensor[] = [];
  for (let start = 0, end = 1; start < length; start = end++) {
    const source = sourceAt(start);
    while (end < length && sourceAt(end) === source) end++;
    if (end - start === length) return source;
    pieces.push(slice(source, { axis: 1, start, end }));
  }
  return concat(pieces, { axis: 1 });
}
