import { ShapeError } from "@latentkit/core";
import { visibleText } from "./markup.ts";

/** A column of {@link renderTable}. */
export interface TableColumn {
  readonly name: string;
  /** Default: right for columns that hold numbers only, else left. */
  readonly align?: "left" | "right" | undefined;
  /** Cells wider than this many terminal columns end in an ellipsis. */
  readonly maximumWidth?: number | undefined;
}

/** A cell; null prints as a dash. */
export type TableCell = string | number | null;

/**
 * A table for the terminal: aligned by display width, so that wide and combining characters keep columns straight. Control
 * characters in cells are shown, not obeyed.
 *
 * @throws ShapeError `TABLE_ROW` when a row has not as many cells as there are columns
 */
export function renderTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly TableCell[])[],
): string {
  for (const [index, row] of rows.entries()) {
    if (row.length === columns.length) continue;
    throw new ShapeError({
      code: "TABLE_ROW",
      message: `row ${index} has ${row.length} cells for ${columns.length} columns`,
      fix: "give one cell for each column; null prints as a dash",
    });
  }
  const table = columns.map((column, place) => {
    const cells = rows.map((row) => row[place] ?? null);
    const numeric =
      cells.length > 0 && cells.every((cell) => cell === null || typeof cell === "number");
    const texts = [column.name, ...cells.map(cellText)].map((text) =>
      shorten(text, column.maximumWidth ?? Number.POSITIVE_INFINITY),
    );
    const width = Math.max(...texts.map(displayWidth));
    return { texts, width, align: column.align ?? (numeric ? "right" : "left") };
  });
  const line = (index: number): string =>
    table
      .map(({ texts, width, align }) => pad(texts[index] ?? "", width, align))
      .join("  ")
      .trimEnd();
  const rule = table.map(({ width }) => "\u2500".repeat(width)).join("  ");
  return [line(0), rule, ...rows.map((_, index) => line(index + 1))].join("\n");
}

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Terminal columns that a text takes: 2 for East Asian wide characters and emoji, 0 for combining marks. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += graphemeWidth(segment);
  return width;
}

function graphemeWidth(grapheme: string): number {
  if (/^[\p{M}\p{Cf}]+$/u.test(grapheme)) return 0;
  if (/\p{Emoji_Presentation}|\ufe0f|\p{Regional_Indicator}/u.test(grapheme)) return 2;
  return isWide(grapheme.codePointAt(0) ?? 0) ? 2 : 1;
}

/** East Asian Width W and F, by block. */
const wideRanges: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];

function isWide(code: number): boolean {
  return wideRanges.some(([low, high]) => code >= low && code <= high);
}

function cellText(cell: TableCell): string {
  if (cell === null) return "\u2013";
  return typeof cell === "number" ? String(cell) : visibleText(cell);
}

function shorten(text: string, maximum: number): string {
  if (displayWidth(text) <= maximum) return text;
  let kept = "";
  for (const { segment } of segmenter.segment(text)) {
    if (displayWidth(kept + segment) > maximum - 1) break;
    kept += segment;
  }
  return `${kept}\u2026`;
}

function pad(text: string, width: number, align: "left" | "right"): string {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? space + text : text + space;
}
