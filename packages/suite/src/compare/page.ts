import { escapeHtml } from "@latentkit/report";
import { comparisonTables, type ComparisonTable } from "./markdown.ts";
import { paretoLegend, paretoSvg } from "./pareto-figure.ts";
import { comparedMetrics, type ComparisonResult } from "./result.ts";
import { explanation, introduction, metricName } from "./words.ts";

const style = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 68rem; padding: 1rem; }
svg text { font-size: 12px; fill: currentColor; }
svg .grid { stroke: currentColor; stroke-opacity: 0.15; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; }
figure svg { width: 100%; max-width: 30rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
.numbers th, .numbers td, .sentences td:nth-child(2) { white-space: nowrap; }
`;

/**
 * A comparison's page, as one self-contained HTML file: delta loss, FVU and dense latents against L0 with intervals over seeds, what the paper
 * claims and whether it holds, and all tables. No script, and no network request: its content policy forbids both.
 */
export function renderComparison(result: ComparisonResult): string {
  const text = (lines: readonly string[]): string =>
    lines.map((line) => `<p>${escapeHtml(line)}</p>`).join("\n");
  const [claims, ...tables] = comparisonTables(result).map((table, place) =>
    tableHtml(table, place === 0 ? "sentences" : "numbers"),
  );
  const figures = comparedMetrics.map(
    (metric) =>
      `<figure><figcaption>${escapeHtml(metricName(metric))} against L0</figcaption>${paretoSvg(result, metric)}</figure>`,
  );
  const title = escapeHtml(`Comparison ${result.name}`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<h1>${title}</h1>
${text(introduction(result))}
${claims ?? ""}
<h2>Sparsity against fidelity</h2>
<p>Down and to the left is better. Points are means over seeds, bars their 95% intervals; pointing at one says which SAEs it is.</p>
${paretoLegend(result)}
<div class="figures">
${figures.join("\n")}
</div>
${tables.join("\n")}
${text(explanation)}
</body>
</html>
`;
}

/** Tables of numbers scroll sideways where there is little room; sentences are broken into lines. */
function tableHtml(
  { title, columns, rows }: ComparisonTable,
  kind: "numbers" | "sentences",
): string {
  if (rows.length === 0) return "";
  const head = columns.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join("");
  const body = rows
    .map((cells) => `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`)
    .join("\n");
  return `<h2>${escapeHtml(title)}</h2>
<div class="scroll"><table class="${kind}"><thead><tr>${head}</tr></thead><tbody>
${body}
</tbody></table></div>`;
}
