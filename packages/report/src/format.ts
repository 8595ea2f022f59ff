/** `1,234,567`. The locale is fixed: a report reads the same wherever it is made. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Three significant digits, without a trail of zeros: `0.183`, `47`, `1,020`, `3.1e-5`. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1000) return formatCount(value);
  if (size < 0.001) return value.toExponential(1);
  return minus(String(Number(value.toPrecision(3))));
}

/** Two decimals with a sign that is a minus, for cosines and scores. */
export function formatCosine(value: number): string {
  return minus(value.toFixed(2));
}

/** A share as a percentage with as many digits as it deserves. */
export function formatShare(value: number): string {
  const percent = 100 * value;
  if (percent === 0) return "0%";
  if (percent < 0.01) return "<0.01%";
  return `${Number(percent.toPrecision(percent >= 10 ? 3 : 2))}%`;
}

/** `"1 pair"`, `"3 pairs"`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

function minus(text: string): string {
  return text.replace("-", "\u2212");
}
