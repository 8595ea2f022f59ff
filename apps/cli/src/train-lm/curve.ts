import type { OnProgress } from "@latentkit/core";

const blocks = "▁▂▃▄▅▆▇█";
const width = 24;

/** Puts a curve of the loss so far at the end of the line. */
export function withCurve(onProgress: OnProgress): OnProgress {
  const losses: number[] = [];
  return (event) => {
    const loss = event.figures?.["loss"];
    if (loss !== undefined) losses.push(loss);
    onProgress(losses.length < 2 ? event : { ...event, note: sparkline(losses) });
  };
}

/** The whole course in {@link width} characters, each the mean of its part. */
export function sparkline(values: readonly number[], columns: number = width): string {
  const count = Math.min(columns, values.length);
  const means = Array.from({ length: count }, (_, column) => {
    const from = Math.floor((column * values.length) / count);
    const to = Math.max(from + 1, Math.floor(((column + 1) * values.length) / count));
    const part = values.slice(from, to);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const range = high - low || 1;
  return means
    .map((mean) => blocks[Math.round(((mean - low) / range) * (blocks.length - 1))] ?? "")
    .join("");
}
