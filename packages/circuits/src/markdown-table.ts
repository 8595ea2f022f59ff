import type { Interval } from "@latentkit/sae";

/** Rows of cells as a Markdown table: the first column to the left, others to the right. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths
      .map((width, column) => {
        const cell = cells[column] ?? "";
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join(" | ")} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(Math.max(1, width - 1))}:`,
  );
  return [line(header), `| ${rule.join(" | ")} |`, ...rows.map(line), ""].join("\n");
}

/** `0.123 [0.101, 0.150]`. */
export function withInterval(value: number, interval: Interval | null, digits: number): string {
  const shown = fixed(value, digits);
  if (interval === null) return shown;
  return `${shown} [${fixed(interval[0], digits)}, ${fixed(interval[1], digits)}]`;
}

/** With so many digits, and no sign before a zero. */
function fixed(value: number, digits: number): string {
  return value.toFixed(digits).replace(/^-(?=0(?:\.0*)?$)/u, "");
}
