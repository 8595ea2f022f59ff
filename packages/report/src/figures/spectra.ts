import * as Plot from "@observablehq/plot";
import type { AtlasReport } from "../atlas-report.ts";
import { formatFigure, formatShare } from "../format.ts";
import { drawPlot, type Figure, ink } from "./figure.ts";

/** Variance along the leading principal components. */
export function componentSpectrum(report: AtlasReport): Figure | null {
  const shown = report.pca.explained.slice(0, 40);
  if (shown.length === 0) return null;
  const bars = shown.map((share, index) => ({
    x: index + 1,
    y: 100 * share,
    fill: index === 0 ? ink.dense : ink.sparse,
  }));
  const description = `Variance explained by the first ${shown.length} principal components; the first carries ${formatShare(shown[0] ?? 0)}.`;
  return {
    id: "figure-pca",
    title: "Principal components of the site",
    description,
    caption: `Unmasked, centred activations. The first component carries ${formatShare(shown[0] ?? 0)} of the variance, all ${shown.length} together ${formatShare(shown.reduce((sum, share) => sum + share, 0))}.`,
    svg: drawPlot(description, {
      height: 408,
      x: {
        type: "linear",
        label: "component \u2192",
        labelAnchor: "center",
        labelArrow: "none",
        domain: [0.4, shown.length + 0.6],
        ticks: 8,
      },
      y: { label: "variance explained (%)", grid: true, labelArrow: "none" },
      marks: [
        Plot.rectY(bars, {
          x1: (bar: { x: number }) => bar.x - 0.4,
          x2: (bar: { x: number }) => bar.x + 0.4,
          y: "y",
          fill: "fill",
        }),
        Plot.ruleY([0], { stroke: ink.text }),
      ],
    }),
  };
}

/** Singular values of the effective unembedding. */
export function unembeddingFigure(report: AtlasReport): Figure | null {
  const { singularValues, k } = report.nullspace;
  const largest = singularValues[0] ?? 0;
  if (largest <= 0) return null;
  const middle = singularValues[Math.floor(singularValues.length / 2)] ?? largest;
  const last = singularValues.at(-1) ?? 0;
  // A logarithm needs a floor: exact zeros are drawn there.
  const points = singularValues.map((value, index) => ({
    x: index + 1,
    y: Math.max(value / middle, 1e-6),
  }));
  const weakest = points.slice(-k);
  const description = `Singular values of the unembedding relative to their median; the smallest is ${formatFigure(last / middle)} of it.`;
  return {
    id: "figure-spectrum",
    title: "Spectrum of the unembedding",
    description,
    caption: `Singular values of the final norm's gain times the unembedding, relative to their median. The ${k} weakest (coloured) span the null space; the smallest is ${formatFigure(last / middle)} of the median${last / middle > 0.1 ? ", so this model has no true null space and the test finds little" : ""}.`,
    svg: drawPlot(description, {
      x: {
        label: "direction \u2192",
        labelAnchor: "center",
        labelArrow: "none",
        domain: [0, points.length + 1],
      },
      y: {
        type: "log",
        label: "singular value / median",
        grid: true,
        labelArrow: "none",
        tickFormat: (value: number) => formatFigure(value),
        ticks: 5,
      },
      marks: [
        Plot.line(points, { x: "x", y: "y", stroke: ink.sparse, strokeWidth: 2 }),
        Plot.dot(weakest, { x: "x", y: "y", fill: ink.dense, r: 2.6 }),
      ],
    }),
  };
}

/** Shares in the null space: dense latents, the others, and what random directions give. */
export function nullspaceShares(report: AtlasReport): Figure | null {
  const { histogram, cut, quantile, k } = report.nullspace;
  const [dense, sparse] = [
    histogram.reduce((sum, bin) => sum + bin.dense, 0),
    histogram.reduce((sum, bin) => sum + bin.sparse, 0),
  ];
  if (dense + sparse === 0) return null;
  const part = (count: number, all: number): number => (all === 0 ? 0 : (100 * count) / all);
  const bars = histogram.map((bin) => ({
    x1: bin.low,
    x2: bin.high,
    sparse: part(bin.sparse, sparse),
    dense: part(bin.dense, dense),
    expected: 100 * bin.expected,
  }));
  const right = Math.max(
    cut * 1.15,
    ...bars.filter((bar) => bar.sparse + bar.dense > 0).map((bar) => bar.x2),
  );
  const shown = bars.filter((bar) => bar.x1 < right);
  const description = `Distribution of the share of each decoder row inside the ${k} weakest directions, for dense latents, other latents and random directions; the cut is ${formatFigure(cut)}.`;
  return {
    id: "figure-nullspace",
    title: "Share inside the null space",
    description,
    caption: `Length of each unit decoder row inside the ${k} weakest directions. Outlined: dense latents; filled: the others; line: random directions. The dashed cut at ${formatFigure(cut)} is exceeded by ${formatShare(1 - quantile)} of random directions.`,
    svg: drawPlot(description, {
      x: {
        label: `\u03b1 (k = ${k}) \u2192`,
        labelAnchor: "center",
        labelArrow: "none",
        domain: [0, right],
      },
      y: { label: "latents (%)", grid: true, labelArrow: "none" },
      marks: [
        Plot.rectY(shown, {
          x1: "x1",
          x2: "x2",
          y: "sparse",
          fill: ink.sparse,
          fillOpacity: 0.7,
          inset: 0.5,
        }),
        Plot.rectY(shown, {
          x1: "x1",
          x2: "x2",
          y: "dense",
          fill: ink.dense,
          fillOpacity: 0.15,
          stroke: ink.dense,
          strokeWidth: 1.5,
          inset: 0.5,
        }),
        Plot.line(shown, {
          x: (bar: { x1: number; x2: number }) => (bar.x1 + bar.x2) / 2,
          y: "expected",
          stroke: ink.line,
          strokeWidth: 2,
          curve: "monotone-x",
        }),
        Plot.ruleX([cut], { stroke: ink.text, strokeDasharray: "4 3" }),
        Plot.ruleY([0], { stroke: ink.text }),
      ],
    }),
  };
}
