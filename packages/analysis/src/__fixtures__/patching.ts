// What the tests of patching share.
import { logitDifference, type PatchMetric } from "../patching/metrics.ts";
import type { PatchedValue, PatchPlace, PatchTable } from "../patching/patch-places.ts";
import { openGolden } from "./support.ts";

/** Prompts for small random models; the corrupt ones differ at position 1. */
export const clean: readonly (readonly number[])[] = [
  [3, 1, 4, 1, 5],
  [9, 2, 6, 5, 3],
];
export const corrupt: readonly (readonly number[])[] = [
  [3, 8, 4, 1, 5],
  [9, 7, 6, 5, 3],
];
export const metric: PatchMetric = logitDifference({ target: [2, 7], contrast: [1, 8] });
export const values = ({ rows }: PatchTable): number[] =>
  rows.map(({ value }) => value);

export const placeOf = ({ site, layer, position, head }: PatchedValue): PatchPlace => ({
  site,
  layer,
  position,
  head,
});

/** The prompts and metric of a golden. */
export async function goldenCase(name: string) {
  const golden = await openGolden(name);
  const flat = async (key: string) => (await golden.tokens(key)).flat();
  return {
    golden,
    clean: await golden.tokens("clean"),
    corrupt: await golden.tokens("corrupt"),
    metric: logitDifference({
      target: await flat("target"),
      contrast: await flat("contrast"),
    }),
  };
}
