import type { SaeMetrics, SpliceResult } from "@latentkit/sae";
import type { AtlasMetric } from "../atlas-result.ts";
import type { FiringCounts } from "../firing.ts";
import { bootstrapRatio } from "../statistics.ts";

/** The rows of the metrics table, from what was measured elsewhere; L0 is taken from the firings when it was not. */
export function metricRows(
  counts: FiringCounts,
  metrics: SaeMetrics | null,
  splice: SpliceResult | null,
  seed: number,
): AtlasMetric[] {
  const rows: AtlasMetric[] = [];
  const push = (
    id: string,
    name: string,
    value: number,
    interval: readonly [number, number] | null,
    unit: string,
    note: string,
  ): void => {
    rows.push({
      id,
      name,
      value,
      low: interval?.[0] ?? null,
      high: interval?.[1] ?? null,
      unit,
      note,
    });
  };
  const l0 = bootstrapRatio(counts.activeByDocument, counts.tokensByDocument, { seed, stream: 1 });
  // One document says nothing of how documents differ.
  const ownInterval: readonly [number, number] | null =
    counts.tokensByDocument.length < 2 ? null : [l0.low, l0.high];
  const l0Interval = metrics === null ? ownInterval : metrics.l0Interval;
  push("l0", "L0", metrics?.l0 ?? l0.value, l0Interval, "", "latents active on an average token");
  if (metrics !== null) {
    push(
      "fvu",
      "FVU",
      metrics.fvu,
      metrics.fvuInterval,
      "",
      "share of the variance that the reconstruction leaves out, masked tokens excluded",
    );
    push(
      "fvuWithMasked",
      "FVU with masked tokens",
      metrics.fvuWithMasked,
      null,
      "",
      "attention sinks included: their variance dwarfs the rest, so it says little",
    );
    push(
      "cosine",
      "Cosine",
      metrics.cosine,
      null,
      "",
      "mean cosine between activation and reconstruction",
    );
  }
  if (splice !== null) {
    push(
      "deltaLoss",
      "Delta LM loss",
      splice.delta,
      splice.intervals.delta,
      "nats",
      `extra loss a token when the reconstruction replaces the site (from ${splice.cleanLoss.toFixed(3)})`,
    );
    push(
      "recoveredFromMean",
      "Loss recovered (mean)",
      splice.recoveredFromMean,
      splice.intervals.recoveredFromMean,
      "",
      "share of the loss of mean ablation that the reconstruction wins back",
    );
    push(
      "recovered",
      "Loss recovered (zero)",
      splice.recovered,
      splice.intervals.recovered,
      "",
      "the same against zero ablation, as other tools report it",
    );
  }
  const dead = counts.firings.reduce((sum, firings) => sum + (firings === 0 ? 1 : 0), 0);
  push(
    "dead",
    "Dead latents",
    dead / counts.firings.length,
    null,
    "",
    "share that never fired on this text",
  );
  return rows;
}
