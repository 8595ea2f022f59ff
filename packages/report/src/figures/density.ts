import * as Plot from "@observablehq/plot";
import type { AtlasReport } from "../atlas-report.ts";
import { formatCount, formatFigure, formatShare } from "../format.ts";
import { drawPlot, type Figure, ink } from "./figure.ts";

/** Axis of log10 densities, labelled as percentages. */
export const logDensityAxis = {
  label: "share of tokens on which the latent fires (log scale) \u2192",
  labelAnchor: "center" as const,
  labelArrow: "none" as const,
  tickFormat: (power: number): string => (Number.isInteger(power) ? formatPower(power) : ""),
};

function formatPower(power: number): string {
  return power >= -2 ? `${100 * 10 ** power}%` : `${Number((100 * 10 ** power).toPrecision(1))}%`;
}

/** How many latents fire how often, dense ones in their own colour. */
export function densityHistogram(report: AtlasReport): Figure {
  const { histogram, threshold, dense, dead } = report.density;
  const cut = Math.log10(threshold);
  const bars = histogram.map((bin) => ({
    x1: bin.low,
    x2: bin.high,
    y: bin.count,
    fill: bin.low >= cut - 1e-9 ? ink.dense : ink.sparse,
  }));
  const description = `Histogram of latent densities. ${formatCount(dense)} latents fire on more than ${formatShare(threshold)} of tokens; ${formatCount(dead)} never fired.`;
  return {
    id: "figure-density",
    title: "How often latents fire",
    description,
    caption: `${formatCount(dense)} latents lie right of the line at ${formatFigure(threshold)} and are called dense. ${formatCount(dead)} latents never fired on this text and are in no bar.`,
    svg: drawPlot(description, {
      x: {
        ...logDensityAxis,
        domain: [Math.min(-5, ...bars.map((bar) => bar.x1)), 0],
        ticks: [-5, -4, -3, -2, -1, 0],
      },
      y: { label: "latents", grid: true, labelArrow: "none" },
      marks: [
        Plot.rectY(bars, { x1: "x1", x2: "x2", y: "y", fill: "fill", inset: 0.5 }),
        Plot.ruleX([cut], { stroke: ink.text, strokeDasharray: "4 3" }),
        Plot.ruleY([0], { stroke: ink.text }),
      ],
    }),
  };
}

/** Density against antipodality, with the score that random weights reach. */
export function antipodalityScatter(report: AtlasReport): Figure {
  const { points, independentNull, tiedNull, byDensity, strong } = report.antipodality;
  const alive = points.filter((point) => point.density > 0);
  const placed = alive.map((point) => ({
    x: Math.log10(point.density),
    y: point.score,
    fill: point.dense ? ink.dense : ink.sparse,
    r: point.dense ? 3.2 : 1.6,
  }));
  placed.sort((a, b) => a.r - b.r);
  const medians = byDensity
    .filter((bin) => bin.latents > 0)
    .map((bin) => ({ x: (bin.low + bin.high) / 2, y: bin.median }));
  const high = Math.max(independentNull.high, tiedNull.high);
  const low = Math.min(-5, ...placed.map((point) => point.x));
  const floor = Math.min(0, ...placed.map((point) => point.y));
  const description = `Scatter of ${formatCount(alive.length)} latents: density against antipodality score. Random weights of this size stay below ${formatFigure(high)}.`;
  return {
    id: "figure-antipodality",
    title: "Density against antipodality",
    description,
    caption: `Each dot is a latent: all dense ones (coloured), a sample of the rest. The line joins medians by density. Random weights of this size stay inside the band (99.9% below ${formatFigure(independentNull.high)} with independent, ${formatFigure(tiedNull.high)} with tied encoder and decoder); above the dashed line at ${formatFigure(strong)} a latent has an antipode.`,
    svg: drawPlot(description, {
      x: { ...logDensityAxis, domain: [low, 0], ticks: [-5, -4, -3, -2, -1, 0] },
      y: { label: "antipodality score", domain: [floor, 1], grid: true, labelArrow: "none" },
      marks: [
        Plot.rect([{ x1: low, x2: 0, y1: 0, y2: high }], {
          x1: "x1",
          x2: "x2",
          y1: "y1",
          y2: "y2",
          fill: ink.band,
        }),
        Plot.ruleY([strong], { stroke: ink.text, strokeDasharray: "4 3" }),
        Plot.dot(placed, { x: "x", y: "y", r: "r", fill: "fill", fillOpacity: 0.75 }),
        Plot.line(medians, { x: "x", y: "y", stroke: ink.line, strokeWidth: 2 }),
        Plot.dot(medians, { x: "x", y: "y", fill: ink.line, r: 2.5 }),
      ],
      r: { type: "identity" },
    }),
  };
}
