import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { type Html, markup, trusted } from "../markup.ts";

/** A drawn figure with what a reader who cannot see it needs. */
export interface Figure {
  readonly id: string;
  readonly title: string;
  /** What the figure shows, in a sentence or two; also read out. */
  readonly description: string;
  readonly caption: HtmlText;
  readonly svg: Html;
  /** Whether it takes the page's whole width. */
  readonly wide?: boolean;
}

/** A caption: text, or markup of this package. */
export type HtmlText = string | Html;

/** Colours are CSS variables of the page, so that one SVG serves light, dark and print. */
export const ink = {
  dense: "var(--dense)",
  sparse: "var(--sparse)",
  line: "var(--line)",
  faint: "var(--faint)",
  band: "var(--band)",
  text: "currentColor",
} as const;

/**
 * Draws a plot to static SVG markup under a DOM without a browser.
 *
 * Marks must be fed numbers and this package's own words only, never text of a model or a corpus.
 */
export function drawPlot(label: string, options: Plot.PlotOptions): Html {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const plot: { outerHTML: string; setAttribute(name: string, value: string): void } = Plot.plot({
    width: 520,
    height: 300,
    marginTop: 32,
    marginLeft: 52,
    marginRight: 14,
    marginBottom: 42,
    style: { fontSize: "12.5px", fontFamily: "inherit", background: "none", overflow: "visible" },
    ...options,
    document,
  });
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", label);
  return trusted(tidy(plot.outerHTML));
}

/** The frame round a figure. */
export function renderFigure(figure: Figure): Html {
  const layout = figure.wide === true ? "wide" : "";
  return markup`<figure id="${figure.id}" class="${layout}" aria-labelledby="${figure.id}-title">
    <h3 id="${figure.id}-title">${figure.title}</h3>
    ${figure.svg}
    <figcaption>${figure.caption}</figcaption>
  </figure>`;
}

/** Coordinates to two decimals: half the bytes, no visible change. Text and labels stay as they are. */
function tidy(svg: string): string {
  return svg.replace(/ (?!aria)[\w-]+="[^"]*"/g, (attribute) =>
    attribute.replace(/(\d+\.\d{2})\d+/g, "$1"),
  );
}
