import { escapeHtml } from "@latentkit/report";
import type { ComparedMetric, ComparedPoint, ComparisonResult } from "./result.ts";
import { settingOf } from "./markdown.ts";
import { figure, metricAxis, metricName, withInterval } from "./words.ts";

/** About the width of a page's column, so that text is as large as it says. */
const [width, height] = [360, 270];
const frame = { left: 58, right: 10, top: 12, bottom: 40 };

/** Colours that colour-blind eyes tell apart (Okabe and Ito), with a mark of their own each. */
const inks = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const marks = ["circle", "square", "diamond", "triangle"] as const;

/** A metric against L0 (log scale), a line for each architecture, with the intervals of both over seeds, as SVG. */
export function paretoSvg({ points }: ComparisonResult, metric: ComparedMetric): string {
  const shown = points.filter(({ l0 }) => l0 > 0);
  const across = scale(
    shown
      .flatMap(({ l0, l0Interval }) => [l0, ...(l0Interval ?? [])])
      .filter((l0) => l0 > 0)
      .map(Math.log10),
    [frame.left, width - frame.right],
  );
  const up = scale(
    [
      0,
      ...shown.flatMap(({ metrics }) => [
        metrics[metric].mean,
        ...(metrics[metric].interval ?? []),
      ]),
    ],
    [height - frame.bottom, frame.top],
  );
  const x = (l0: number): number => across.at(Math.log10(Math.max(l0, 10 ** across.low)));
  const names = architecturesOf(shown);
  const lines = names.map((name, place) => {
    const own = shown
      .filter(({ architecture }) => architecture === name)
      .toSorted((a, b) => a.l0 - b.l0);
    const ink = inkOf(place);
    const path = own
      .map((point) => `${round(x(point.l0))},${round(up.at(point.metrics[metric].mean))}`)
      .join(" ");
    const bars = own.flatMap((point) => [
      bar(ink, point.l0Interval?.map(x), (at) => ({ x: at, y: up.at(point.metrics[metric].mean) })),
      bar(ink, point.metrics[metric].interval?.map(up.at), (at) => ({ x: x(point.l0), y: at })),
    ]);
    const dots = own.map(
      (point) =>
        `<g><title>${escapeHtml(titleOf(point, metric))}</title>${markOf(place, x(point.l0), up.at(point.metrics[metric].mean))}</g>`,
    );
    return `<polyline points="${path}" fill="none" stroke="${ink}" stroke-width="1.6"/>${bars.join("")}${dots.join("")}`;
  });
  const label = escapeHtml(`${metricName(metric)} against L0, a line for each architecture`);
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${axes(across, up, metric)}${lines.join("")}</svg>`;
}

/** What a point says when it is pointed at. */
function titleOf(point: ComparedPoint, metric: ComparedMetric): string {
  const { mean, interval } = point.metrics[metric];
  return `${point.architecture}, ${settingOf(point)}: L0 ${withInterval(point.l0, point.l0Interval)}, ${metricName(metric)} ${withInterval(mean, interval)}, ${point.seeds} ${point.seeds === 1 ? "seed" : "seeds"}`;
}

/** The names of the lines beside their marks. */
export function paretoLegend({ points }: ComparisonResult): string {
  const items = architecturesOf(points).map(
    (name, place) =>
      `<li><svg viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">${markOf(place, 7, 7)}</svg> ${escapeHtml(name)}</li>`,
  );
  return `<ul class="legend">${items.join("")}</ul>`;
}

interface Scale {
  readonly low: number;
  readonly high: number;
  readonly at: (value: number) => number;
}

function scale(values: readonly number[], [from, to]: readonly [number, number]): Scale {
  const finite = values.filter(Number.isFinite);
  let [low, high] = finite.length === 0 ? [0, 1] : [Math.min(...finite), Math.max(...finite)];
  const room = low === high ? 1 : 0.05 * (high - low);
  [low, high] = [low === 0 ? 0 : low - room, high + room];
  return { low, high, at: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

function axes(across: Scale, up: Scale, metric: ComparedMetric): string {
  const parts: string[] = [];
  for (let exponent = Math.floor(across.low); exponent <= across.high; exponent++) {
    for (const step of [1, 2, 5]) {
      const value = Math.log10(step) + exponent;
      if (value < across.low || value > across.high) continue;
      const at = round(across.at(value));
      parts.push(
        `<text x="${at}" y="${height - frame.bottom + 16}" text-anchor="middle">${figure(step * 10 ** exponent)}</text>`,
      );
    }
  }
  const step = niceStep((up.high - up.low) / 4);
  for (let value = Math.ceil(up.low / step) * step; value <= up.high; value += step) {
    const at = round(up.at(value));
    parts.push(
      `<line x1="${frame.left}" x2="${width - frame.right}" y1="${at}" y2="${at}" class="grid"/>`,
      `<text x="${frame.left - 6}" y="${at + 4}" text-anchor="end">${figure(Math.abs(value) < step / 2 ? 0 : value)}</text>`,
    );
  }
  parts.push(
    `<text x="${(frame.left + width - frame.right) / 2}" y="${height - 6}" text-anchor="middle">L0 (log scale)</text>`,
    `<text x="14" y="${height / 2}" text-anchor="middle" transform="rotate(-90 14 ${height / 2})">${metricAxis(metric)}</text>`,
  );
  return parts.join("");
}

/** The largest of 1, 2 or 5 times a power of ten that is not above `raw`. */
function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * ([5, 2].find((one) => one * power <= raw) ?? 1);
}

function bar(
  ink: string,
  ends: readonly number[] | undefined,
  place: (at: number) => { readonly x: number; readonly y: number },
): string {
  const [from, to] = ends ?? [];
  if (from === undefined || to === undefined) return "";
  const [a, b] = [place(from), place(to)];
  return `<line x1="${round(a.x)}" y1="${round(a.y)}" x2="${round(b.x)}" y2="${round(b.y)}" stroke="${ink}" stroke-opacity="0.6"/>`;
}

function markOf(place: number, x: number, y: number): string {
  const ink = inkOf(place);
  const [across, up] = [round(x), round(y)];
  switch (marks[place % marks.length]) {
    case "square":
      return `<rect x="${across - 3}" y="${up - 3}" width="6" height="6" fill="${ink}"/>`;
    case "diamond":
      return `<path d="M${across} ${up - 4.5}l4.5 4.5l-4.5 4.5l-4.5 -4.5z" fill="${ink}"/>`;
    case "triangle":
      return `<path d="M${across} ${up - 4}l4 7h-8z" fill="${ink}"/>`;
    default:
      return `<circle cx="${across}" cy="${up}" r="3.2" fill="${ink}"/>`;
  }
}

function inkOf(place: number): string {
  return inks[place % inks.length] ?? "currentColor";
}

function architecturesOf(points: readonly ComparedPoint[]): string[] {
  return [...new Set(points.map(({ architecture }) => architecture))];
}

function round(value: number): number {
  return Math.round(100 * value) / 100;
}
