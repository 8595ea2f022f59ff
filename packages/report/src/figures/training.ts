import * as Plot from "@observablehq/plot";
import type { AtlasReport } from "../atlas-report.ts";
import { formatCount, formatFigure } from "../format.ts";
import { markup } from "../markup.ts";
import { drawPlot, type Figure, ink } from "./figure.ts";

const curves = [
  { key: "l0", name: "L0 (latents active a token)" },
  { key: "fvu", name: "FVU (variance left over)" },
  { key: "denseCount", name: "dense latents" },
] as const;

/** Held-out L0, FVU and dense count against presentations; the last fifth, which decides about labels, is shaded. */
export function trainingCurves(report: AtlasReport): Figure | null {
  const { training } = report;
  const last = training?.points.at(-1);
  if (training === null || last === undefined || training.points.length < 2) return null;
  const description = `Training curves over ${formatCount(training.presentations)} presentations: L0 ends at ${formatFigure(last.l0)}, FVU at ${formatFigure(last.fvu)}, dense latents at ${formatCount(last.denseCount)}.`;
  const panels = curves.map(({ key, name }) => {
    const points = training.points.map((point) => ({
      x: point.presentations / 1e6,
      y: point[key],
    }));
    const end = last.presentations / 1e6;
    return drawPlot(`${name} during training, ending at ${formatFigure(last[key])}`, {
      width: 340,
      height: 220,
      x: {
        label: "million presentations \u2192",
        labelAnchor: "center",
        labelArrow: "none",
        domain: [0, end],
        ticks: 4,
      },
      y: { label: name, grid: true, labelArrow: "none", zero: true, ticks: 4, nice: true },
      marks: [
        Plot.rectX([{ x1: 0.8 * end, x2: end }], { x1: "x1", x2: "x2", fill: ink.band }),
        Plot.line(points, { x: "x", y: "y", stroke: ink.dense, strokeWidth: 2 }),
        Plot.ruleY([0], { stroke: ink.text }),
      ],
    });
  });
  return {
    id: "figure-training",
    title: "How training went",
    description,
    caption: `Recipe ${training.recipe}: ${formatCount(training.uniqueTokens)} unique tokens, ${formatCount(training.presentations)} presentations. Labels are given only if L0 and the dense count moved at most 5% over the last fifth (shaded).`,
    svg: markup`<div class="panels">${panels}</div>`,
    wide: true,
  };
}
