import * as Plot from "@observablehq/plot";
import { standalone } from "../atlas-figures.ts";
import { formatCount, formatFigure } from "../format.ts";
import { drawPlot, ink } from "./figure.ts";

/** A line of a training run's metrics. */
export interface LossPoint {
  /** Training tokens seen. */
  readonly tokens: number;
  /** Mean training loss since the last point, in nats a token; null where there is none. */
  readonly loss: number | null;
  /** Loss of held-out text; most points have none. */
  readonly validation?: number | undefined;
}

/** A loss curve to draw. */
export interface LossCurve {
  readonly points: readonly LossPoint[];
  /** Tokens at which the learning rate begins to fall; shaded from there. */
  readonly decayFrom?: number | undefined;
}

/** Points of the line: a curve of thousands of steps is drawn from the means of so many parts. */
const detail = 400;

/** Training and validation loss against tokens, as an SVG document of its own. */
export function lossCurve({ points, decayFrom }: LossCurve): string {
  const training = thin(
    points.flatMap(({ tokens, loss }) => (loss === null ? [] : [{ x: tokens / 1e6, y: loss }])),
  );
  const held = points.flatMap(({ tokens, validation }) =>
    validation === undefined ? [] : [{ x: tokens / 1e6, y: validation }],
  );
  const end = (points.at(-1)?.tokens ?? 0) / 1e6;
  const all = [...training, ...held].map(({ y }) => y);
  const label = `Training loss over ${formatCount(points.at(-1)?.tokens ?? 0)} tokens, ending at ${formatFigure(training.at(-1)?.y ?? Number.NaN)}${held.length > 0 ? `, and validation loss (dots), ending at ${formatFigure(held.at(-1)?.y ?? Number.NaN)}` : ""}`;
  const svg = drawPlot(label, {
    width: 720,
    height: 360,
    x: {
      label: "million tokens \u2192",
      labelAnchor: "center",
      labelArrow: "none",
      domain: [0, end || 1],
    },
    y: {
      label: "loss (nats a token)",
      grid: true,
      labelArrow: "none",
      nice: true,
      // The first steps would flatten all that follows.
      domain: [Math.min(...all, 0), Math.max(...all.slice(Math.floor(all.length / 50)), 0.1)],
      clamp: true,
    },
    marks: [
      ...(decayFrom === undefined
        ? []
        : [
            Plot.rectX([{ x1: decayFrom / 1e6, x2: end }], {
              x1: "x1",
              x2: "x2",
              fill: ink.band,
            }),
          ]),
      Plot.line(training, { x: "x", y: "y", stroke: ink.dense, strokeWidth: 1.5 }),
      Plot.line(held, { x: "x", y: "y", stroke: ink.sparse, strokeWidth: 1.5 }),
      Plot.dot(held, { x: "x", y: "y", fill: ink.sparse, r: 2.5 }),
      Plot.ruleY([0], { stroke: ink.text }),
    ],
  });
  return standalone(svg.markup);
}

/** Means of neighbours, at most {@link detail} of them. */
function thin(points: readonly { x: number; y: number }[]): { x: number; y: number }[] {
  const size = Math.max(1, Math.ceil(points.length / detail));
  const means: { x: number; y: number }[] = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    means.push({
      x: part.at(-1)?.x ?? 0,
      y: part.reduce((sum, { y }) => sum + y, 0) / part.length,
    });
  }
  return means;
}
