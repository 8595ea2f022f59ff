import { stabilityOf, type TrainingHistory } from "@latentkit/sae";

/** Classes in order of precedence: of several that a latent passes, the first names it. */
export const classOrder: readonly ClassId[] = ["pca", "nullspace", "alphabet"];

/** Classes that this package can tell so far. */
export type ClassId = "pca" | "nullspace" | "alphabet";

/** Whether class labels may be given, and why. */
export interface Labelling {
  readonly status: "given" | "withheld" | "unverified";
  readonly reason: string;
}

/**
 * Labels are for SAEs that had settled. Dense counts fall as training goes on, so those of an unfinished one would describe
 * latents that are on their way to being something else.
 */
export function labellingOf(history: TrainingHistory | null): Labelling {
  if (history === null) {
    return {
      status: "unverified",
      reason:
        "unknown history: nothing says whether this autoencoder had settled when its training ended, so take the labels with care",
    };
  }
  const { stable, reason } = stabilityOf(history);
  return { status: stable ? "given" : "withheld", reason };
}

/** The classes whose test is passed, in order of precedence; none while labels are withheld. */
export function labelsOf(
  tests: Readonly<Record<ClassId, { readonly passes: boolean }>>,
  labelling: Labelling,
): ClassId[] {
  return labelling.status === "withheld" ? [] : classOrder.filter((id) => tests[id].passes);
}
