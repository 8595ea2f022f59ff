import { ConfigError } from "@latentkit/core";
import { bootstrapInterval, type Interval } from "@latentkit/sae";
import type { CircuitNode, NodePositions } from "./circuit-node.ts";
import type { LatentAttribution, SiteEffects } from "./latent-attribution.ts";

/** A node with what it does. */
export interface NodeEffect extends CircuitNode {
  /** Indirect effect on the metric, the mean over prompts; summed over positions where they are together. */
  readonly effect: number;
  /** 95%, by bootstrap over prompts; null for a single prompt, or where no resamples were asked for. */
  readonly interval: Interval | null;
  /** Mean over prompts of the clean activation, its largest where positions are together; null for an error. */
  readonly activation: number | null;
}

/** How {@link rankNodes} chooses. */
export interface RankNodesOptions {
  /** `"each"` if left out. */
  readonly positions?: NodePositions | undefined;
  /** Nodes with an effect, signs aside, of at least this; 0 if left out, which leaves out only those without any. */
  readonly threshold?: number | undefined;
  /** At most so many. */
  readonly limit?: number | undefined;
  /** Resamples of the bootstrap; 1,000 if left out, 0 for no intervals. */
  readonly resamples?: number | undefined;
  /** Of the bootstrap; 0 if left out. */
  readonly seed?: number | undefined;
}

/** The nodes of an attribution, the largest effect first, whatever its sign. @throws ConfigError `CIRCUIT_THRESHOLD` */
export function rankNodes(
  attribution: LatentAttribution,
  options: RankNodesOptions = {},
): NodeEffect[] {
  const { positions = "each", threshold = 0, limit, resamples = 1000, seed = 0 } = options;
  checkThreshold(threshold, "threshold");
  const nodes = attribution.sites.flatMap((site) => siteNodes(attribution, site, positions));
  return nodes
    .map((node) => ({ ...node, effect: meanOf(node.byRow) }))
    .filter(({ effect }) => effect !== 0 && Math.abs(effect) >= threshold)
    .toSorted((a, b) => Math.abs(b.effect) - Math.abs(a.effect))
    .slice(0, limit)
    .map(({ byRow, ...node }) => ({ ...node, interval: intervalOf(byRow, resamples, seed) }));
}

/** The interval of a mean over prompts. */
export function intervalOf(
  byRow: ArrayLike<number>,
  resamples: number,
  seed: number,
): Interval | null {
  if (resamples === 0) return null;
  const statistic = (draws: Uint32Array): number =>
    draws.reduce((sum, times, row) => sum + times * (byRow[row] ?? 0), 0) / byRow.length;
  return bootstrapInterval(byRow.length, statistic, { resamples, seed });
}

/** @throws ConfigError `CIRCUIT_THRESHOLD` */
export function checkThreshold(threshold: number, name: string): void {
  if (Number.isFinite(threshold) && threshold >= 0) return;
  throw new ConfigError({
    code: "CIRCUIT_THRESHOLD",
    message: `${name} is ${threshold}, and a finite number of at least 0 is expected`,
    fix: "give the least effect, signs aside, in units of the metric",
  });
}

interface RowEffects extends CircuitNode {
  /** Effect on each prompt's metric. */
  readonly byRow: readonly number[];
  readonly activation: number | null;
}

/** The nodes with an effect on any prompt. */
function siteNodes(
  { rows, length }: LatentAttribution,
  { site, latents, effects, errorEffects, activations }: SiteEffects,
  positions: NodePositions,
): RowEffects[] {
  const places: readonly (readonly number[])[] =
    positions === "each"
      ? Array.from({ length }, (_, position) => [position])
      : [Array.from({ length }, (_, position) => position)];
  const rowsOf = Array.from({ length: rows }, (_, row) => row);
  return places.flatMap((own) => {
    const position = positions === "each" ? (own[0] ?? 0) : null;
    const summed = (values: Float32Array, width: number, at: number) =>
      rowsOf.map((row) =>
        own.reduce((sum, place) => sum + (values[(row * length + place) * width + at] ?? 0), 0),
      );
    const largest = (latent: number) =>
      meanOf(
        rowsOf.map((row) =>
          own.reduce(
            (most, place) =>
              Math.max(most, activations[(row * length + place) * latents + latent] ?? 0),
            0,
          ),
        ),
      );
    const found: RowEffects[] = [];
    for (let latent = 0; latent < latents; latent++) {
      const byRow = summed(effects, latents, latent);
      if (byRow.some((effect) => effect !== 0))
        found.push({ site, latent, position, byRow, activation: largest(latent) });
    }
    if (errorEffects !== null)
      found.push({
        site,
        latent: null,
        position,
        byRow: summed(errorEffects, 1, 0),
        activation: null,
      });
    return found;
  });
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
