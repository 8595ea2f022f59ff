import type { PlannedSae } from "./plan.ts";

/**
 * Folder of an SAE in the suite's own, as Gemma Scope names them: `NAME-res/layer_3/width_1536/average_l0_42`. TopK SAEs have a
 * release of their own, `NAME-res-topk`: as published, `params.npz` is JumpReLU's.
 *
 * @param l0 as measured on held-out text
 * @param taken folders of other SAEs; where two round to the same L0, the later one gets `_2` behind its name
 */
export function releasePath(
  name: string,
  sae: Pick<PlannedSae, "architecture" | "layer" | "site" | "width">,
  l0: number,
  taken: ReadonlySet<string>,
): string {
  const release = `${name}-${sae.site}${sae.architecture === "topk" ? "-topk" : ""}`;
  const path = `${release}/layer_${sae.layer}/width_${sae.width}/average_l0_${Math.round(l0)}`;
  let free = path;
  for (let copy = 2; taken.has(free); copy++) free = `${path}_${copy}`;
  return free;
}
