import type { AtlasResult } from "@latentkit/taxonomy";
import type { Table } from "../output.ts";

/** The atlas in a terminal: its metrics, and where the report lies. */
export function summariseAtlas(result: AtlasResult, report: string): Table {
  const metrics = result.metrics.map(({ name, value, low, high, unit }) => [
    name,
    `${formatNumber(value)}${unit === "" ? "" : ` ${unit}`}`,
    low === null || high === null ? "" : `${formatNumber(low)} to ${formatNumber(high)}`,
  ]);
  const classes = result.classes.map(({ name, dense, sparse }) => [
    `class: ${name}`,
    result.labelling.status === "withheld"
      ? "withheld"
      : `${dense.passed} of ${dense.tested} dense latents`,
    `${sparse.passed} of ${sparse.tested} others`,
  ]);
  return {
    columns: [`${result.model.name} ${result.site.name}`, "value", "95% interval or control"],
    rows: [
      ...metrics,
      [
        "dense latents",
        `${result.density.dense} of ${result.sae.dSae}`,
        `density above ${result.density.threshold}`,
      ],
      [
        "antipodal dense latents",
        `${result.antipodality.strongDense}`,
        `score above ${result.antipodality.strong}`,
      ],
      ...classes,
    ],
    footer: `labels ${result.labelling.status}: ${result.labelling.reason}\nreport: ${report}`,
  };
}

function formatNumber(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}
