import type { AtlasReport } from "./atlas-report.ts";
import { antipodalityScatter, densityHistogram } from "./figures/density.ts";
import type { Figure } from "./figures/figure.ts";
import { cosineHeatMap } from "./figures/heat-map.ts";
import { componentSpectrum, nullspaceShares, unembeddingFigure } from "./figures/spectra.ts";
import { trainingCurves } from "./figures/training.ts";
import { lightPalette } from "./page/style.ts";

/** A figure as a file of its own. */
export interface FigureFile {
  /** `density.svg`; figures of several panels are numbered, `training-1.svg`. */
  readonly name: string;
  readonly title: string;
  /** What it shows, in a sentence or two. */
  readonly description: string;
  /** A whole SVG document that needs no style sheet. */
  readonly svg: string;
}

/** The figures of the page, in its order, without those that the report has no data for. */
export function figuresOf(report: AtlasReport): Figure[] {
  return [
    densityHistogram(report),
    antipodalityScatter(report),
    cosineHeatMap(report),
    componentSpectrum(report),
    unembeddingFigure(report),
    nullspaceShares(report),
    trainingCurves(report),
  ].filter((figure): figure is Figure => figure !== null);
}

/** The figures of `renderAtlas` as SVG files, in the page's light colours, for papers and slides. */
export function atlasFigures(report: AtlasReport): FigureFile[] {
  return figuresOf(report).flatMap(({ id, title, description, svg }) => {
    const panels = svg.markup.match(/<svg.*?<\/svg>/gs) ?? [];
    const name = id.replace(/^figure-/, "");
    return panels.map((panel, index) => ({
      name: panels.length === 1 ? `${name}.svg` : `${name}-${index + 1}.svg`,
      title,
      description,
      svg: standalone(panel),
    }));
  });
}

/** Gives an SVG of the page the namespace and the colours that it had from there. */
export function standalone(panel: string): string {
  const style = `<style>svg{${lightPalette};color:#5a636b;background:#fff;font-family:system-ui,sans-serif}</style>`;
  const named = panel.includes("xmlns=")
    ? panel
    : panel.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ');
  return `${named
    .replace("background:none;", "")
    .replace("font-family:inherit;", "")
    .replace(/^(<svg[^>]*>)/, `$1${style}`)}\n`;
}
