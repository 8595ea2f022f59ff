import type { SuiteReport, SuiteReportRow } from "../suite-report.ts";
import { formatCount, formatFigure } from "../format.ts";
import { type Html, markup } from "../markup.ts";
import type { Figure } from "./figure.ts";
import { drawSeries, type Series, seriesLegend } from "./series.ts";

/** Names of the three sites of Gemma Scope; others go by their own. */
export function siteName(site: string): string {
  const names: Readonly<Record<string, string>> = {
    res: "residual stream",
    mlp: "MLP output",
    att: "attention heads",
  };
  return names[site] ?? site;
}

/** Members of `rows` that have the same key, in the order in which keys come up. */
export function groupsOf<Row>(
  rows: readonly Row[],
  key: (row: Row) => string,
): (readonly [key: string, rows: readonly Row[]])[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return [...groups];
}

/** SAEs that differ in sparsity alone: one line of a Pareto figure. */
function lineName({ layer, architecture, width, seed }: SuiteReportRow, seeds: boolean): string {
  return `layer ${layer}, ${architecture}, ${formatCount(width)} latents${seeds ? `, seed ${seed}` : ""}`;
}

/**
 * Fidelity against sparsity, a figure for each site (Gemma Scope, section 4.1): delta loss and FVU against L0, with a line for the SAEs of a
 * layer that differ in sparsity alone.
 */
export function paretoFigures({ rows }: SuiteReport): Figure[] {
  const seeds = new Set(rows.map(({ seed }) => seed)).size > 1;
  return groupsOf(rows, ({ site }) => site).map(([site, here]): Figure => {
    const lines = groupsOf(here, (row) => lineName(row, seeds));
    const series = (value: (row: SuiteReportRow) => number): Series[] =>
      lines.map(([name, members]) => ({
        name,
        points: members.map((row) => ({ x: row.l0, y: value(row) })).toSorted((a, b) => a.x - b.x),
      }));
    const panel = (name: string, value: (row: SuiteReportRow) => number): Html =>
      drawSeries({
        label: `${name} against L0, ${siteName(site)}`,
        x: { label: "L0 (log scale) \u2192", log: true },
        y: { label: name, zero: true },
        series: series(value),
        dots: true,
        width: 500,
        height: 300,
      });
    return {
      id: `figure-pareto-${site.replaceAll(/\W/g, "-")}`,
      title: `Sparsity against fidelity: ${siteName(site)}`,
      description: `Delta loss and FVU against L0 of ${here.length} SAEs of the ${siteName(site)}.`,
      caption:
        "Down and to the left is better. Delta loss is what the language model loses, in nats a token, with the SAE's reconstructions in place of the activations.",
      svg: markup`${seriesLegend(lines.map(([name]) => name))}
        <div class="figures">
          ${panel("delta loss", ({ deltaLoss }) => deltaLoss)} ${panel("FVU", ({ fvu }) => fvu)}
        </div>`,
      wide: true,
    };
  });
}

/**
 * The value that a line of SAEs has at an L0: by interpolation, linear in log L0, between the two that enclose it.
 *
 * @returns null where the line does not reach that far
 */
export function valueAt(
  points: readonly { readonly l0: number; readonly value: number }[],
  l0: number,
): number | null {
  const sorted = points.filter((point) => point.l0 > 0).toSorted((a, b) => a.l0 - b.l0);
  for (const [index, high] of sorted.entries()) {
    if (high.l0 === l0) return high.value;
    const low = sorted[index - 1];
    if (low === undefined || low.l0 >= l0 || high.l0 < l0) continue;
    const share = Math.log(l0 / low.l0) / Math.log(high.l0 / low.l0);
    return low.value + share * (high.value - low.value);
  }
  return null;
}

/** Delta loss by layer at one L0, a line for each site: which layers are hard to reconstruct. Null for a single layer. */
export function layerFigure({ rows }: SuiteReport): Figure | null {
  if (new Set(rows.map(({ layer }) => layer)).size < 2) return null;
  const sorted = rows.map(({ l0 }) => l0).toSorted((a, b) => a - b);
  const l0 = sorted[sorted.length >> 1] ?? 0;
  const kinds = groupsOf(
    rows,
    ({ site, architecture, width }) =>
      `${siteName(site)}, ${architecture}, ${formatCount(width)} latents`,
  );
  const interpolated = kinds.map(([name, members]): Series => {
    const layers = groupsOf(members, ({ layer }) => String(layer));
    const points = layers.map(([layer, here]) => {
      const value = valueAt(
        here.map((row) => ({ l0: row.l0, value: row.deltaLoss })),
        l0,
      );
      return { x: Number(layer), y: value ?? Number.NaN };
    });
    return { name, points: points.toSorted((a, b) => a.x - b.x) };
  });
  // With one sparsity a layer nothing can be interpolated: the SAEs as they are, each with its own L0.
  const measured = kinds.map(([name, members]): Series => ({
    name,
    points: members
      .map((row) => ({ x: row.layer, y: row.deltaLoss }))
      .toSorted((a, b) => a.x - b.x),
  }));
  const reached = interpolated.some(
    ({ points }) => points.filter(({ y }) => Number.isFinite(y)).length > 1,
  );
  const series = reached ? interpolated : measured;
  const description = reached
    ? `Delta loss by layer at an L0 of ${formatFigure(l0)}, the median of the suite.`
    : "Delta loss by layer of each SAE.";
  return {
    id: "figure-layers",
    title: "Delta loss by layer",
    description,
    caption: reached
      ? `At an L0 of ${formatFigure(l0)}, the median of the suite, by interpolation in log L0. Layers whose SAEs do not enclose it are left out.`
      : "One SAE a layer, each at its own L0: see the table.",
    svg: markup`${seriesLegend(series.map(({ name }) => name))}
    ${drawSeries({
      label: description,
      x: { label: "layer \u2192" },
      y: { label: "delta loss (nats a token)", zero: true },
      series,
      dots: true,
      width: 1040,
      height: 300,
    })}`,
    wide: true,
  };
}

/** How often latents fire, a panel for each site of each layer with a line for each SAE (Gemma Scope, section 4.3). */
export function densityFigures({ rows }: SuiteReport): Figure[] {
  return groupsOf(rows, ({ site, layer }) => `${site} ${layer}`).map(([key, here]): Figure => {
    const [first] = here;
    const place = `${siteName(first?.site ?? "")}, layer ${first?.layer ?? 0}`;
    const series = here.map((row): Series => {
      const { edges, counts } = row.densities;
      return {
        name: `${row.architecture}, ${formatCount(row.width)} latents, L0 ${formatFigure(row.l0)}`,
        points: counts.map((count, bin) => ({
          x: ((edges[bin] ?? 0) + (edges[bin + 1] ?? 0)) / 2,
          y: count,
        })),
      };
    });
    const dead = here.map((row) => formatCount(row.densities.dead)).join(", ");
    return {
      id: `figure-density-${key.replaceAll(/\W/g, "-")}`,
      title: `How often latents fire: ${place}`,
      description: `Latents by log10 of the share of tokens on which they fire, ${place}.`,
      caption: `Latents that never fired are in no line: ${dead}.`,
      svg: markup`${seriesLegend(series.map(({ name }) => name))}
      ${drawSeries({
        label: `Density histogram, ${place}`,
        x: { label: "log10 of the share of tokens \u2192", domain: [-6, 0] },
        y: { label: "latents", zero: true },
        series,
        width: 520,
        height: 250,
      })}`,
    };
  });
}
