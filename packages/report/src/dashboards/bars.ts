import { formatFigure } from "../format.ts";
import { type Html, markup, trusted } from "../markup.ts";

const [width, height] = [240, 56];

/** A small histogram with its range below. Fed numbers only. */
export function bars(
  label: string,
  heights: readonly number[],
  values: readonly number[],
  colour: string,
): Html | null {
  const highest = Math.max(0, ...heights);
  if (highest === 0 || heights.length !== values.length) return null;
  const step = width / heights.length;
  // Square roots, so that bins of single counts beside thousands are still seen.
  const shapes = heights
    .map((count, bin) => {
      const tall = count > 0 ? Math.max(1, height * Math.sqrt(count / highest)) : 0;
      return tall === 0
        ? ""
        : `<rect x="${(bin * step).toFixed(1)}" y="${(height - tall).toFixed(1)}" width="${Math.max(0.8, step - 0.6).toFixed(1)}" height="${tall.toFixed(1)}"/>`;
    })
    .join("");
  return markup`<div class="bars">
    <h4>${label}</h4>
    ${trusted(`<svg viewBox="0 0 ${width} ${height}" role="img" fill="${colour}" preserveAspectRatio="none" aria-label="histogram of ${heights.length} bins"><line x1="0" x2="${width}" y1="${height}" y2="${height}" stroke="currentColor"/>${shapes}</svg>`)}
    <small><span>${formatFigure(values[0] ?? 0)}</span><span>${formatFigure(values.at(-1) ?? 0)}</span></small>
  </div>`;
}
