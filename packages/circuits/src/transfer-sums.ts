/** Sums over the unmasked tokens, and the predictions, of some documents. */
export interface GroupSums {
  readonly tokens: number;
  /** Active latents. */
  readonly active: number;
  /** Sum of ||x - x^||^2. */
  readonly error: number;
  /** Sum of ||x - mean||^2 about these documents' own mean. */
  readonly variance: number;
  readonly mean: Float32Array;
  readonly predictions: number;
  /** Sums of losses over the predictions: of the model, with the SAE in it, with zeros in its place. */
  readonly clean: number;
  readonly spliced: number;
  readonly ablated: number;
}

/** A figure of documents that are drawn so often each. */
export type DrawnStatistic = (draws: ArrayLike<number>) => number;

/**
 * The figures as functions of how often each group is drawn. The variance is about the mean of all groups once each, as `evaluateSae` has it:
 * a group's own variance, and its distance from that mean.
 */
export function transferStatistics(
  sums: readonly GroupSums[],
): Readonly<Record<"deltaLoss" | "fvu" | "l0" | "recovered", DrawnStatistic>> {
  const tokens = sums.reduce((sum, group) => sum + group.tokens, 0);
  const width = sums[0]?.mean.length ?? 0;
  const mean = Float64Array.from({ length: width }, (_, column) =>
    sums.reduce((sum, group) => sum + (group.tokens / tokens) * (group.mean[column] ?? 0), 0),
  );
  const variances = sums.map((group) => {
    const distance = mean.reduce(
      (sum, value, column) => sum + ((group.mean[column] ?? 0) - value) ** 2,
      0,
    );
    return group.variance + group.tokens * distance;
  });
  const ratio =
    (above: (group: number) => number, below: (group: number) => number): DrawnStatistic =>
    (draws) => {
      let [numerator, denominator] = [0, 0];
      for (const group of sums.keys()) {
        numerator += (draws[group] ?? 0) * above(group);
        denominator += (draws[group] ?? 0) * below(group);
      }
      return numerator / denominator;
    };
  const of = (key: Exclude<keyof GroupSums, "mean">) => (group: number) => sums[group]?.[key] ?? 0;
  const [clean, spliced, ablated] = [of("clean"), of("spliced"), of("ablated")];
  return {
    fvu: ratio(of("error"), (group) => variances[group] ?? 0),
    l0: ratio(of("active"), of("tokens")),
    deltaLoss: ratio((group) => spliced(group) - clean(group), of("predictions")),
    recovered: ratio(
      (group) => ablated(group) - spliced(group),
      (group) => ablated(group) - clean(group),
    ),
  };
}
