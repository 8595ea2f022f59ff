import * as Plot from "@observablehq/plot";
import { type Html, markup } from "../markup.ts";
import { drawPlot, ink } from "./figure.ts";

/** A point of a line; one whose height is not finite leaves a gap. */
export interface SeriesPoint {
  readonly x: number;
  readonly y: number;
}

/** A line with a name, which stands in the figure's legend and never in its plot. */
export interface Series {
  readonly name: string;
  readonly points: readonly SeriesPoint[];
}

/** Colours that a page has for lines; after so many they come again, broken. */
const colours = 8;

/** Names beside the colours that {@link drawSeries} gives to lines in the same order. */
export function seriesLegend(names: readonly string[]): Html {
  return markup`<ul class="legend">
    ${names.map(
      (name, place) =>
        markup`<li>
          <i class="series-${place % colours} ${place >= colours ? "broken" : ""}"></i>${name}
        </li>`,
    )}
  </ul>`;
}

/** How {@link drawSeries} draws. */
export interface SeriesPlot {
  /** Read out in place of the plot: this package's own words and numbers. */
  readonly label: string;
  readonly x: {
    readonly label: string;
    readonly log?: boolean;
    readonly domain?: readonly [number, number];
  };
  readonly y: { readonly label: string; readonly log?: boolean; readonly zero?: boolean };
  readonly series: readonly Series[];
  /** Whether points are marked. */
  readonly dots?: boolean | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

/** Lines in one plot, in the colours of {@link seriesLegend}. */
export function drawSeries(plot: SeriesPlot): Html {
  const { label, x, y, series, dots = false, width = 340, height = 230 } = plot;
  const drawable = ({ x: across, y: up }: SeriesPoint): boolean =>
    Number.isFinite(across) &&
    Number.isFinite(up) &&
    (x.log !== true || across > 0) &&
    (y.log !== true || up > 0);
  const marks = series.flatMap(({ points }, place) => {
    const stroke = `var(--series-${place % colours})`;
    const data = points.filter(drawable);
    const dash = place >= colours ? { strokeDasharray: "5 3" } : {};
    return [
      Plot.line(data, { x: "x", y: "y", stroke, strokeWidth: 1.8, ...dash }),
      ...(dots || data.length === 1
        ? [Plot.dot(data, { x: "x", y: "y", fill: stroke, r: 3 })]
        : []),
    ];
  });
  return drawPlot(label, {
    width,
    height,
    marginLeft: 58,
    x: {
      label: x.label,
      labelAnchor: "center",
      labelArrow: "none",
      ticks: 4,
      ...(x.log === true ? { type: "log", tickFormat: "~s" } : {}),
      ...(x.domain === undefined ? {} : { domain: [...x.domain] }),
    },
    y: {
      label: y.label,
      grid: true,
      labelArrow: "none",
      ticks: 4,
      ...(y.log === true
        ? { type: "log", tickFormat: "~g" }
        : { nice: true, zero: y.zero ?? false }),
    },
    marks: [...marks, ...(y.zero === true ? [Plot.ruleY([0], { stroke: ink.text })] : [])],
  });
}
