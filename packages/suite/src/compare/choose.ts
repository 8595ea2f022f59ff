import type { ComparedArchitecture, Comparison } from "./config.ts";
import { trainingOf } from "./plan.ts";
import { type CurvePoint, valueAtL0 } from "./statistics/at-equal-l0.ts";
import { meanOf } from "./statistics/paired-difference.ts";

/** What a trial of the tuning came to, on held-out activations. */
export interface Trial {
  readonly architecture: string;
  readonly factor: number;
  readonly seed: number;
  /** null where the training was given up, because it diverged for example. */
  readonly measured: { readonly l0: number; readonly fvu: number } | null;
}

/** A learning rate that was tried. */
export interface TriedRate {
  readonly factor: number;
  readonly learningRate: number;
  /** FVU at the tuning's L0, mean over its seeds; null where the SAEs of a seed do not enclose that L0. */
  readonly fvu: number | null;
}

/** The learning rate that an architecture is compared with. */
export interface Choice {
  readonly architecture: string;
  readonly factor: number;
  readonly learningRate: number;
  /** Whether a trial decided it; otherwise it is the recipe's own. */
  readonly tuned: boolean;
  /** Whether it is the smallest or the largest that was tried: a better one may lie beyond. */
  readonly atEdge: boolean;
  readonly tried: readonly TriedRate[];
}

/**
 * The learning rate of each architecture with the lowest FVU at the tuning's L0. Where no trial encloses that L0, or all were given up, the
 * recipe's own: FVUs at other L0s say nothing about which rate is better.
 */
export function chooseRates(comparison: Comparison, trials: readonly Trial[]): Choice[] {
  const { architectures, tuning } = comparison;
  return architectures.map((architecture) => {
    const { name } = architecture;
    const own = trials.filter((trial) => trial.architecture === name);
    const tried = tuning.factors.map((factor) => ({
      factor,
      learningRate: learningRateOf(comparison, architecture, factor),
      fvu: fvuAt(
        own.filter((trial) => trial.factor === factor),
        tuning.l0,
      ),
    }));
    const reached = tried.flatMap(({ fvu, ...rest }) => (fvu === null ? [] : [{ fvu, ...rest }]));
    const [best] = reached.toSorted((a, b) => a.fvu - b.fvu);
    const factor = best?.factor ?? 1;
    return {
      architecture: name,
      factor,
      learningRate: learningRateOf(comparison, architecture, factor),
      tuned: best !== undefined,
      atEdge: factor === Math.min(...tuning.factors) || factor === Math.max(...tuning.factors),
      tried,
    };
  });
}

/** The FVU at an L0, mean over seeds; null where the SAEs of a seed do not enclose it. */
function fvuAt(trials: readonly Trial[], l0: number): number | null {
  const seeds = [...new Set(trials.map(({ seed }) => seed))];
  const found = seeds.flatMap((seed) => {
    const points = trials.flatMap((trial): CurvePoint[] =>
      trial.seed === seed && trial.measured !== null
        ? [{ l0: trial.measured.l0, value: trial.measured.fvu }]
        : [],
    );
    return valueAtL0(points, l0) ?? [];
  });
  return found.length === seeds.length && seeds.length > 0 ? meanOf(found) : null;
}

function learningRateOf(
  comparison: Comparison,
  { recipe, sparsity, k }: ComparedArchitecture,
  factor: number,
): number {
  const setting = { sparsity: sparsity?.[0] ?? null, k: k?.[0] ?? null };
  return trainingOf(comparison, { recipe, ...setting, factor, seed: 0 }).learningRate;
}
