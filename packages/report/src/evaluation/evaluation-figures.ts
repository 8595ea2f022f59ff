import * as Plot from "@observablehq/plot";
import { logDensityAxis } from "../figures/density.ts";
import { drawPlot, type Figure, ink } from "../figures/figure.ts";
import { formatCount, formatFigure, formatShare } from "../format.ts";
import type { SaeEvaluationReport } from "./sae-evaluation-report.ts";

/** Bins a decade. */
const perDecade = 4;

/** How many latents fire how often, on a log scale. */
export function evaluationDensities({ metrics }: SaeEvaluationReport): Figure {
  const alive = metrics.densities.filter((density) => density > 0);
  const counts = new Map<number, number>();
  for (const density of alive) {
    const bin = Math.min(-1, Math.floor(Math.log10(density) * perDecade));
    counts.set(bin, (counts.get(bin) ?? 0) + 1);
  }
  const bars = [...counts].map(([bin, count]) => ({
    x1: bin / perDecade,
    x2: (bin + 1) / perDecade,
    y: count,
    fill: bin / perDecade >= -1 ? ink.dense : ink.sparse,
  }));
  const low = Math.min(-4, ...bars.map(({ x1 }) => Math.floor(x1)));
  const dead = metrics.densities.length - alive.length;
  const description = `Histogram of latent densities: ${formatCount(alive.length)} latents fire, ${formatCount(dead)} never do.`;
  return {
    id: "figure-density",
    title: "How often latents fire",
    description,
    caption: `${formatShare(metrics.denseFraction)} of all latents fire on more than a tenth of the tokens (right of the line): high-frequency latents. ${formatCount(dead)} never fired on this text and are in no bar.`,
    svg: drawPlot(description, {
      x: {
        ...logDensityAxis,
        domain: [low, 0],
        ticks: Array.from({ length: 1 - low }, (_, tick) => low + tick),
      },
      y: { label: "latents", grid: true, labelArrow: "none" },
      marks: [
        Plot.rectY(bars, { x1: "x1", x2: "x2", y: "y", fill: "fill", inset: 0.5 }),
        Plot.ruleX([-1], { stroke: ink.text, strokeDasharray: "4 3" }),
        Plot.ruleY([0], { stroke: ink.text }),
      ],
    }),
  };
}

/** The error by context position, with its interval. Null where positions are not known. */
export function evaluationPositions({ metrics }: SaeEvaluationReport): Figure | null {
  const points = metrics.byPosition.flatMap(({ first, last, error, interval }) =>
    error === null
      ? []
      : [
          {
            x: first === last ? String(first) : `${first}\u2013${last}`,
            y: error,
            y1: interval?.[0] ?? error,
            y2: interval?.[1] ?? error,
          },
        ],
  );
  if (points.length === 0) return null;
  const overall = metrics.fvu ?? 0;
  const description = `Reconstruction error by position in the context, from ${formatFigure(Math.min(...points.map(({ y }) => y)))} to ${formatFigure(Math.max(...points.map(({ y }) => y)))} of the variance.`;
  return {
    id: "figure-positions",
    title: "Error by position",
    description,
    caption: `Mean squared error at each range of positions, over the variance of all tokens; bars are 95% intervals over documents, the line is the FVU of all tokens.`,
    svg: drawPlot(description, {
      x: {
        label: "position in the context",
        labelArrow: "none",
        domain: points.map(({ x }) => x),
        type: "point",
      },
      y: {
        label: "squared error / variance",
        grid: true,
        labelArrow: "none",
        domain: [0, 1.05 * Math.max(overall, ...points.map(({ y2 }) => y2))],
      },
      marks: [
        Plot.ruleY([overall], { stroke: ink.line, strokeDasharray: "4 3" }),
        Plot.ruleX(points, { x: "x", y1: "y1", y2: "y2", stroke: ink.dense, strokeWidth: 2 }),
        Plot.dot(points, { x: "x", y: "y", fill: ink.dense, r: 4 }),
        Plot.ruleY([0], { stroke: ink.text }),
      ],
    }),
  };
}
