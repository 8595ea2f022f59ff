import { LatentkitError } from "@latentkit/core";
import { readJson } from "@latentkit/loaders/node";
import { access } from "node:fs/promises";
import { join } from "node:path";
import type { Comparison } from "../../compare/config.ts";
import { type ComparedSae, runsOf, trialsOf } from "../../compare/plan.ts";
import { comparisonResultSchema } from "../../compare/result.ts";

/** How far a stage of a comparison is. */
export interface StageStatus {
  readonly stage: "evaluate" | "harvest" | "train" | "tune";
  readonly done: number;
  readonly total: number;
}

/**
 * How far the comparison in a folder is, by the records of its jobs. Looks at no inputs, opens no model, and may be called while another
 * process works there. Nothing is done where there is no such folder.
 */
export async function comparisonStatus(
  comparison: Comparison,
  out: string,
): Promise<StageStatus[]> {
  const trials = trialsOf(comparison);
  const factors = await chosenIn(out);
  const runs = runsOf(comparison, factors ?? new Map());
  const done = async (ids: readonly string[]): Promise<number> => {
    const found = await Promise.all(
      ids.map((id) =>
        access(join(out, "jobs", ...id.split("/"), "job.json")).then(
          () => true,
          () => false,
        ),
      ),
    );
    return found.filter(Boolean).length;
  };
  const ids = (saes: readonly ComparedSae[], prefix = ""): string[] =>
    saes.map(({ id }) => `${prefix}${id}`);
  // Before learning rates are chosen, nothing is trained, and which folders there will be is not known.
  const [trained, evaluated] =
    factors === null ? [0, 0] : [await done(ids(runs)), await done(ids(runs, "evaluate/"))];
  return [
    { stage: "harvest", done: await done(["harvest"]), total: 1 },
    { stage: "tune", done: await done(ids(trials)), total: trials.length },
    { stage: "train", done: trained, total: runs.length },
    { stage: "evaluate", done: evaluated, total: runs.length },
  ];
}

/** The factors that a run wrote down before its first training; null before that. */
async function chosenIn(out: string): Promise<ReadonlyMap<string, number> | null> {
  const result = await readJson(join(out, "compare.json"), comparisonResultSchema).catch(
    (error: unknown) => {
      if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING") return null;
      throw error;
    },
  );
  if (result === null) return null;
  return new Map(result.choices.map(({ architecture, factor }) => [architecture, factor]));
}
