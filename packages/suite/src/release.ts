import { gemmaScopePath } from "@latentkit/sae";
import type { PlannedSae } from "./plan.ts";

/**
 * Folder of an SAE in the suite's own, as Gemma Scope names them: `NAME-res/layer_3/width_1.5k/average_l0_42`. SAEs that
 * were not trained as JumpReLU have a release of their own, `NAME-res-topk`: as published, `params.npz` is JumpReLU's.
 *
 * @param l0 as measured on held-out text
 * @param taken folders of other SAEs; where two widths and L0 are shortened to the same name, the later one gets `_2` behind its name
 */
export function releasePath(
  name: string,
  sae: Pick<PlannedSae, "architecture" | "layer" | "site" | "width">,
  l0: number,
  taken: ReadonlySet<string>,
): string {
  const { site, layer, width, architecture } = sae;
  const file = gemmaScopePath({ release: name, site, layer, width, l0 });
  const [release = "", ...below] = file.split("/").slice(0, -1);
  const own = architecture === "jumprelu" ? release : `${release}-${architecture}`;
  const path = [own, ...below].join("/");
  let free = path;
  for (let copy = 2; taken.has(free); copy++) free = `${path}_${copy}`;
  return free;
}
