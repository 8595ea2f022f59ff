import * as Plot from "@observablehq/plot";
import type { AtlasReport } from "../atlas-report.ts";
import { formatCosine } from "../format.ts";
import { markup } from "../markup.ts";
import { drawPlot, type Figure } from "./figure.ts";

/** Steps of the diverging scale, -1 to 1; the page defines `--step-0` to `--step-10`. */
export const heatMapSteps = 11;

/** Encoder cosines among the densest latents, partners side by side. */
export function cosineHeatMap(report: AtlasReport): Figure | null {
  const { latents, cosines } = report.antipodality.heatMap;
  if (latents.length < 2) return null;
  const order = partnersTogether(cosines);
  const cells = order.flatMap((row, y) =>
    order.map((column, x) => ({ x, y, fill: stepOf(cosines[row]?.[column] ?? 0) })),
  );
  const lowest = Math.min(...cosines.flatMap((row, i) => row.filter((_, j) => j !== i)));
  const description = `Heat map of encoder cosines among the ${latents.length} densest latents; the lowest is ${formatCosine(lowest)}.`;
  const side = 420;
  return {
    id: "figure-cosines",
    title: `Encoder cosines of the ${latents.length} densest latents`,
    description,
    caption: markup`Each row and column is a latent; the most opposite ones stand side by side, so
      antipodal pairs are dark blue cells next to the diagonal. The lowest cosine is
      ${formatCosine(lowest)}.
      <span class="scale" aria-hidden="true">&minus;1
        ${Array.from({ length: heatMapSteps }, (_, step) => markup`<i class="step-${step}"></i>`)}
        +1</span>`,
    svg: drawPlot(description, {
      width: 520,
      height: side,
      marginTop: 4,
      marginBottom: 4,
      marginLeft: (520 - side) / 2 + 4,
      marginRight: (520 - side) / 2 + 4,
      padding: 0,
      x: { axis: null },
      y: { axis: null },
      marks: [
        Plot.cell(cells, { x: "x", y: "y", fill: "fill", inset: latents.length > 30 ? 0 : 0.5 }),
      ],
    }),
  };
}

function stepOf(cosine: number): string {
  const step = Math.round(((Math.max(-1, Math.min(1, cosine)) + 1) / 2) * (heatMapSteps - 1));
  return `var(--step-${step})`;
}

/** Greedy order: the densest latent left, then the one most opposite to it. */
function partnersTogether(cosines: readonly (readonly number[])[]): number[] {
  const left = new Set(cosines.keys());
  const order: number[] = [];
  for (const row of cosines.keys()) {
    if (!left.delete(row)) continue;
    order.push(row);
    let partner = -1;
    for (const other of left)
      if ((cosines[row]?.[other] ?? 0) < (cosines[row]?.[partner] ?? 0)) partner = other;
    if (partner >= 0 && (cosines[row]?.[partner] ?? 0) < -0.5) {
      left.delete(partner);
      order.push(partner);
    }
  }
  return order;
}
