import type { SuiteMetrics, SuiteRow } from "./metrics.ts";

/** Titles of {@link metricsCells}. */
export const metricsColumns: readonly string[] = [
  "site",
  "layer",
  "width",
  "architecture",
  "lambda or k",
  "L0",
  "FVU",
  "delta loss",
  "recovered",
  "dead",
  "dense",
  "folder",
];

/** A row as a table shows it. */
export function metricsCells(row: SuiteRow): readonly string[] {
  return [
    row.site,
    String(row.layer),
    String(row.width),
    row.architecture,
    String(row.k ?? row.sparsity ?? ""),
    withInterval(row.l0, row.l0Interval, 1),
    withInterval(row.fvu, row.fvuInterval, 3),
    withInterval(row.deltaLoss, row.deltaLossInterval, 4),
    row.lossRecovered === null ? "" : percent(row.lossRecovered),
    percent(row.dead),
    percent(row.dense),
    row.path,
  ];
}

/** `metrics.md`: the metrics as a Markdown table with their definitions. */
export function metricsMarkdown(metrics: SuiteMetrics): string {
  const { name, model, contextSize, planned, rows } = metrics;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const [first] = rows;
  return [
    `# ${name}`,
    "",
    `${rows.length} of ${planned} SAEs of ${model.name} (${model.architecture}), contexts of ${contextSize} tokens${
      first === undefined
        ? ""
        : `, measured on ${first.tokens.toLocaleString("en")} held-out tokens`
    }.`,
    "",
    line(metricsColumns),
    line(metricsColumns.map(() => "---")),
    ...rows.map((row) => line(metricsCells(row))),
    "",
    "L0 and FVU are of unmasked held-out tokens; delta loss is that of the language model with reconstructions spliced in, in nats a",
    "token; recovered is against zero ablation; dead latents never fired, dense ones on more than a tenth of the tokens. Brackets are",
    "95% intervals by bootstrap over documents.",
    "",
  ].join("\n");
}

function withInterval(
  value: number,
  interval: readonly [number, number] | null,
  digits: number,
): string {
  const shown = value.toFixed(digits);
  if (interval === null) return shown;
  return `${shown} [${interval[0].toFixed(digits)}, ${interval[1].toFixed(digits)}]`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}
