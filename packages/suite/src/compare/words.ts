import type { Interval } from "@latentkit/sae";
import type { ComparedMetric, ComparisonResult } from "./result.ts";

/** What tables call a metric. */
export function metricName(metric: ComparedMetric): string {
  switch (metric) {
    case "deltaLoss":
      return "delta loss";
    case "fvu":
      return "FVU";
    case "dense":
      return "dense latents";
  }
}

/** What an axis calls it, with its unit. */
export function metricAxis(metric: ComparedMetric): string {
  const units: Readonly<Record<ComparedMetric, string>> = {
    deltaLoss: " (nats a token)",
    fvu: "",
    dense: " (share)",
  };
  return `${metricName(metric)}${units[metric]}`;
}

/** `A`, `A and B`, `A, B and C`. */
function listed(names: readonly string[]): string {
  return names.length < 2
    ? names.join("")
    : `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;
}

/** Three significant digits. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** `0.0123 [0.01, 0.0146]`, or the number alone. */
export function withInterval(value: number, interval: Interval | null): string {
  if (interval === null) return figure(value);
  return `${figure(value)} [${figure(interval[0])}, ${figure(interval[1])}]`;
}

/** `0.012`, `< 0.0001`, or a dash. */
export function pValue(p: number | null): string {
  if (p === null) return "-";
  return p < 1e-4 ? "< 0.0001" : figure(p);
}

/** What the comparison is of, how far it is, and how learning rates were chosen, in sentences. */
export function introduction(result: ComparisonResult): string[] {
  const { model, site, width, presentations, planned, rows, failed, choices, subject } = result;
  const seeds = new Set(rows.map(({ seed }) => seed)).size;
  const untuned = choices.filter(({ tuned }) => !tuned).map(({ architecture }) => architecture);
  const edges = choices
    .filter(({ tuned, atEdge }) => tuned && atEdge)
    .map(({ architecture }) => architecture);
  return [
    `${rows.length} of ${planned} SAEs of ${site} of ${model.name} (${model.architecture}): ${width.toLocaleString("en")} latents, ${presentations.toLocaleString("en")} activations each, ${seeds} ${seeds === 1 ? "seed" : "seeds"}. ${subject} is compared with each of the others at equal L0.`,
    ...(rows.length + failed.length < planned
      ? ["Not all SAEs are done: what follows is of those that are."]
      : []),
    ...(failed.length === 0
      ? []
      : [`Given up: ${failed.map(({ id, code }) => `${id} (${code})`).join(", ")}.`]),
    ...(edges.length === 0
      ? []
      : [
          `The learning rate chosen for ${listed(edges)} is the smallest or the largest of those tried: a better one may lie beyond.`,
        ]),
    ...(untuned.length === 0
      ? []
      : [
          `No trial of ${listed(untuned)} enclosed the tuning's L0: the recipe's own learning rate is used.`,
        ]),
  ];
}

/** How to read the tables. */
export const explanation: readonly string[] = [
  "Delta loss: what the language model's loss rises by, in nats a token, where reconstructions stand for activations. FVU: squared error over variance. Dense: the share of latents that fire on more than a tenth of the tokens. Dead: the share that never fired. All on held-out text; less is better.",
  "The claims are what the JumpReLU paper (arXiv 2407.14435) says of JumpReLU at equal L0, put to the architecture that is compared here. Undecided is no proof that there is no difference: look at the interval.",
  "Values at equal L0 are interpolated, linear in log L0, where all curves of both architectures reach. Differences are the subject less the other, paired by seed; negative is less. Brackets are 95% intervals over seeds, by Student's distribution and by bootstrap.",
  "p is of the paired t-test on each seed's mean over the L0s, adjusted by Holm's method over all rows of the table. The swap p counts in how many of all exchanges of the two labels within seeds the mean is as far from 0; with n seeds it cannot be below 2^(1 - n).",
];
