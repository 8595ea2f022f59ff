import type { CheckResult, Evaluation } from "./result.ts";

/** An evaluation as a Markdown table, one row a check. */
export function evaluationTable({ checks }: Pick<Evaluation, "checks">): string {
  const header = ["check", "n", "value", "95% interval", "baseline", "seed"];
  const rows = checks.map((check) => [
    check.name,
    String(check.n),
    number(check, check.value),
    check.interval === null
      ? "-"
      : `${number(check, check.interval[0])} to ${number(check, check.interval[1])}`,
    check.baseline === undefined ? "-" : number(check, check.baseline),
    String(check.seed),
  ]);
  const all = [header, ...rows];
  const widths = header.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => align(cell, widths[column] ?? 0, column)).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(Math.max(1, width - 1))}:`,
  );
  return [line(header), `| ${rule.join(" | ")} |`, ...rows.map(line), ""].join("\n");
}

/** A number as its unit is read: shares in percent. */
export function number({ unit }: Pick<CheckResult, "unit">, value: number): string {
  if (unit === "share") return `${(100 * value).toFixed(1)}%`;
  if (unit === "rank") return value.toFixed(1);
  return value.toFixed(3);
}

function align(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
