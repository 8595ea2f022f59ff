import type { ComparedPoint, ComparisonResult } from "./result.ts";
import { explanation, figure, introduction, metricName, pValue, withInterval } from "./words.ts";

/** A table: titles, then rows. */
export interface ComparisonTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** All tables of a comparison, as text. */
export function comparisonTables(result: ComparisonResult): ComparisonTable[] {
  return [
    claimsTable(result),
    differencesTable(result),
    levelsTable(result),
    nullsTable(result),
    pointsTable(result),
    ratesTable(result),
  ];
}

/** The table of verdicts: what a command prints. */
export function claimsTable({ claims }: ComparisonResult): ComparisonTable {
  return {
    title: "What is claimed, and what was found",
    columns: ["claim", "verdict", "finding"],
    rows: claims.map(({ claim, verdict, finding }) => [claim, verdict, finding]),
  };
}

/** `compare.md`: the comparison as a page of Markdown. */
export function comparisonMarkdown(result: ComparisonResult): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const tables = comparisonTables(result).flatMap(({ title, columns, rows }) =>
    rows.length === 0
      ? []
      : [`## ${title}`, "", line(columns), line(columns.map(() => "---")), ...rows.map(line), ""],
  );
  return [
    `# ${result.name}`,
    "",
    ...paragraphs(introduction(result)),
    ...tables,
    ...paragraphs(explanation),
  ].join("\n");
}

function paragraphs(lines: readonly string[]): string[] {
  return lines.flatMap((text) => [text, ""]);
}

function differencesTable({ differences, subject }: ComparisonResult): ComparisonTable {
  return {
    title: `${subject} less the others at equal L0`,
    columns: ["other", "metric", "L0", "seeds", "difference", "by bootstrap", "p (Holm)", "swap p"],
    rows: differences.flatMap(({ other, range, metrics }) =>
      metrics.map(({ metric, overall }) => [
        other,
        metricName(metric),
        (range ?? []).map(figure).join(" to "),
        String(overall.n),
        withInterval(overall.mean, overall.interval),
        overall.bootstrap === null ? "-" : overall.bootstrap.map(figure).join(" to "),
        pValue(overall.holmP),
        pValue(overall.swapP),
      ]),
    ),
  };
}

function levelsTable({ differences, subject }: ComparisonResult): ComparisonTable {
  return {
    title: `${subject} less the others at single L0s`,
    columns: ["other", "metric", "L0", "difference", "p (Holm)"],
    rows: differences.flatMap(({ other, metrics }) =>
      metrics.flatMap(({ metric, levels }) =>
        levels.map(({ l0, mean, interval, holmP }) => [
          other,
          metricName(metric),
          figure(l0),
          withInterval(mean, interval),
          pValue(holmP),
        ]),
      ),
    ),
  };
}

function nullsTable({ nulls, subject }: ComparisonResult): ComparisonTable {
  return {
    title: `${subject} less the mean of the others, beside shuffled labels`,
    columns: ["metric", "L0", "seeds", "difference", "95% of shuffles", "p"],
    rows: nulls.map(({ metric, range, seeds, statistic, null: middle, p }) => [
      metricName(metric),
      range.map(figure).join(" to "),
      String(seeds),
      figure(statistic),
      middle.map(figure).join(" to "),
      pValue(p),
    ]),
  };
}

function pointsTable({ points }: ComparisonResult): ComparisonTable {
  return {
    title: "SAEs, means over seeds",
    columns: ["architecture", "sparsity", "seeds", "L0", "delta loss", "FVU", "dense", "dead"],
    rows: points.map((point) => [
      point.architecture,
      settingOf(point),
      String(point.seeds),
      withInterval(point.l0, point.l0Interval),
      withInterval(point.metrics.deltaLoss.mean, point.metrics.deltaLoss.interval),
      withInterval(point.metrics.fvu.mean, point.metrics.fvu.interval),
      withInterval(point.metrics.dense.mean, point.metrics.dense.interval),
      figure(point.dead),
    ]),
  };
}

function ratesTable({ choices }: ComparisonResult): ComparisonTable {
  return {
    title: "Learning rates",
    columns: ["architecture", "chosen", "FVU at the tuning's L0, by rate"],
    rows: choices.map(({ architecture, learningRate, tuned, tried }) => [
      architecture,
      `${figure(learningRate)}${tuned ? "" : " (the recipe's)"}`,
      tried
        .map(
          (rate) =>
            `${figure(rate.learningRate)}: ${rate.fvu === null ? "L0 not reached" : figure(rate.fvu)}`,
        )
        .join(", "),
    ]),
  };
}

/** `lambda 0.02`, or `k 32`. */
export function settingOf({ k, sparsity }: ComparedPoint): string {
  return k === null ? `lambda ${sparsity ?? "?"}` : `k ${k}`;
}
