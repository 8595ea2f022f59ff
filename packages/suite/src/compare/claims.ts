import type { Comparison } from "./config.ts";
import type { ArchitectureDifference, ClaimOutcome, ComparedMetric } from "./result.ts";
import { figure, metricName, pValue, withInterval } from "./words.ts";

/** A difference is taken for one below this chance of a mistake, over all main tests. */
const alpha = 0.05;

interface Claim {
  readonly metric: ComparedMetric;
  readonly direction: "less" | "more";
  /** Recipes of the architectures that it is about. */
  readonly recipes: readonly string[] | "all";
}

/**
 * What 2407.14435 says of JumpReLU at equal L0: more faithful reconstructions than Gated and TopK SAEs, by delta loss and by FVU, and more
 * high-frequency latents than Gated SAEs have. Where it says "at least as faithful", the sign and the interval tell which.
 */
const claims: readonly Claim[] = [
  { metric: "deltaLoss", direction: "less", recipes: "all" },
  { metric: "fvu", direction: "less", recipes: "all" },
  { metric: "dense", direction: "more", recipes: ["gated"] },
];

/** Which claims hold, by the main tests: their sign, and their p-value after Holm's adjustment. */
export function claimsOf(
  { architectures, subject }: Pick<Comparison, "architectures" | "subject">,
  differences: readonly ArchitectureDifference[],
): ClaimOutcome[] {
  return claims.flatMap(({ metric, direction, recipes }) =>
    differences.flatMap((difference): ClaimOutcome[] => {
      const { other } = difference;
      const own = architectures.find(({ name }) => name === other)?.recipe ?? "";
      if (recipes !== "all" && !recipes.includes(own)) return [];
      return [
        {
          claim: `${subject} has ${direction === "less" ? "a lower" : "a higher"} ${direction === "more" ? "share of " : ""}${metricName(metric)} than ${other}`,
          other,
          metric,
          ...outcome(difference, metric, direction, subject),
        },
      ];
    }),
  );
}

function outcome(
  { metrics, range, seeds, other }: ArchitectureDifference,
  metric: ComparedMetric,
  direction: "less" | "more",
  subject: string,
): Pick<ClaimOutcome, "finding" | "verdict"> {
  const overall = metrics.find((one) => one.metric === metric)?.overall;
  if (overall === undefined || range === null) {
    const why =
      seeds.length === 0 ? "no seed has both at two L0s" : "their curves share no range of L0";
    return { verdict: "not compared", finding: `nothing to compare: ${why}` };
  }
  const { mean, interval, holmP, n } = overall;
  const as = `${subject} less ${other}: ${withInterval(mean, interval)} from L0 ${range.map(figure).join(" to ")}, ${n} ${n === 1 ? "seed" : "seeds"}`;
  if (holmP === null) return { verdict: "undecided", finding: `${as}; one seed has no interval` };
  const asClaimed = direction === "less" ? mean < 0 : mean > 0;
  const found = holmP < alpha;
  return {
    verdict: found ? (asClaimed ? "holds" : "reversed") : "undecided",
    finding: `${as}, p ${pValue(holmP).startsWith("<") ? "" : "= "}${pValue(holmP)} after Holm`,
  };
}
