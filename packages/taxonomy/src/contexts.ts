import type { Random } from "@latentkit/core";
import type { FiringColumn, TokenTable } from "./firing.ts";

/** A stretch of text around one firing. */
export interface ContextWindow {
  /** `"top"` for the strongest firings, `"sample"` for one drawn near `quantile` of the firing strengths. */
  readonly kind: "top" | "sample";
  readonly quantile: number | null;
  /** Row of the token table where the latent peaks. */
  readonly peak: number;
  /** Rows of the token table shown: `start` to `end`, exclusive. */
  readonly start: number;
  readonly end: number;
  /** Activation at each row shown; 0 where it does not fire. */
  readonly activations: Float32Array;
}

/** How many windows, and how wide. */
export interface WindowOptions {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
}

/**
 * The strongest firings, one a context. Documents come first that are not shown yet: five windows from one speech say less than
 * five from five texts.
 */
export function topContexts(
  column: FiringColumn,
  table: TokenTable,
  count: number,
  options: WindowOptions = {},
): ContextWindow[] {
  const best = new Map<number, number>();
  for (let entry = 0; entry < column.tokens.length; entry++) {
    const context = table.contexts[column.tokens[entry] ?? 0] ?? 0;
    const held = best.get(context);
    if (held === undefined || (column.values[entry] ?? 0) > (column.values[held] ?? 0))
      best.set(context, entry);
  }
  const ranked = [...best.values()].sort(
    (a, b) => (column.values[b] ?? 0) - (column.values[a] ?? 0) || a - b,
  );
  const documents = new Set<number>();
  const [fresh, repeated]: [number[], number[]] = [[], []];
  for (const entry of ranked) {
    const document = table.documents[column.tokens[entry] ?? 0] ?? 0;
    (documents.has(document) ? repeated : fresh).push(entry);
    documents.add(document);
  }
  const chosen = [...fresh, ...repeated].slice(0, count);
  chosen.sort((a, b) => (column.values[b] ?? 0) - (column.values[a] ?? 0) || a - b);
  return chosen.map((entry) =>
    windowAround(column, table, column.tokens[entry] ?? 0, "top", null, options),
  );
}

/**
 * One firing near each quantile of the latent's strengths, drawn within 5% of it: the strongest firings flatter a latent, these
 * show what it does most of the time.
 */
export function sampleContexts(
  column: FiringColumn,
  table: TokenTable,
  quantiles: readonly number[],
  random: Random,
  options: WindowOptions = {},
): ContextWindow[] {
  const size = column.tokens.length;
  if (size === 0) return [];
  const order = Uint32Array.from({ length: size }, (_, index) => index).sort(
    (a, b) => (column.values[a] ?? 0) - (column.values[b] ?? 0) || a - b,
  );
  return quantiles.map((quantile) => {
    const low = Math.max(0, Math.floor((quantile - 0.05) * (size - 1)));
    const high = Math.min(size - 1, Math.ceil((quantile + 0.05) * (size - 1)));
    const entry = order[low + random.integer(high - low + 1)] ?? 0;
    return windowAround(column, table, column.tokens[entry] ?? 0, "sample", quantile, options);
  });
}

function windowAround(
  column: FiringColumn,
  table: TokenTable,
  peak: number,
  kind: "top" | "sample",
  quantile: number | null,
  options: WindowOptions,
): ContextWindow {
  const { before = 20, after = 10 } = options;
  const context = table.contexts[peak];
  let [start, end] = [peak, peak + 1];
  while (start > 0 && peak - start < before && table.contexts[start - 1] === context) start--;
  while (
    end < table.ids.length &&
    end - peak <= after &&
    table.contexts[end] === context &&
    table.masks[end] !== paddingReason
  )
    end++;
  const activations = new Float32Array(end - start);
  for (let entry = lowerBound(column.tokens, start); entry < column.tokens.length; entry++) {
    const token = column.tokens[entry] ?? 0;
    if (token >= end) break;
    activations[token - start] = column.values[entry] ?? 0;
  }
  return { kind, quantile, peak, start, end, activations };
}

/** `maskReasons.padding` of `@latentkit/activations`: such rows hold no text. */
const paddingReason = 2;

/** First index whose value is at least `bound`, in an ascending array. */
function lowerBound(sorted: Int32Array, bound: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
