import type { SiteEdit } from "@latentkit/models";
import { add, mul, type Tensor } from "@latentkit/tensor";
import type { CircuitNode } from "./circuit-node.ts";
import { nodeEdits } from "./latent-attribution.ts";
import type { NodeValues } from "./node-values.ts";

/**
 * Edits that set every node outside of a circuit to its baseline, or every node `"inside"` of it. Errors are those of the run itself, as in
 * Marks et al.: what the SAE misses of the value that comes in.
 *
 * @param base what nodes are set to, for the prompts that are run
 */
export function ablate(
  base: NodeValues,
  nodes: readonly CircuitNode[],
  which: "inside" | "outside",
): SiteEdit[] {
  return nodeEdits(base, (value, baseline, site, part) => {
    const own = nodes.filter(
      (node) => node.site === site && (node.latent === null) === (part === "error"),
    );
    const inside = marksOf(own, value, part);
    const outside = inside.map((one) => 1 - one);
    const shape = [1, value.shape[1] ?? 0, part === "error" ? 1 : (value.shape[2] ?? 0)];
    const mask = (marks: Float32Array) =>
      value.device.tensor(marks, [...shape, ...value.shape.slice(3).map(() => 1)]);
    const [kept, set] = which === "outside" ? [inside, outside] : [outside, inside];
    // Products by 1 and 0, which leave what is kept as it is.
    return add(mul(value, mask(kept)), mul(baseline, mask(set)));
  });
}

/** 1 where one of the nodes is: `[pos, latents]` of a value `[rows, pos, latents]`, or `[pos]` of an error. */
function marksOf(
  nodes: readonly CircuitNode[],
  value: Tensor,
  part: "error" | "latents",
): Float32Array {
  const length = value.shape[1] ?? 0;
  const width = part === "error" ? 1 : (value.shape[2] ?? 0);
  const marks = new Float32Array(length * width);
  for (const { latent, position } of nodes)
    for (let place = position ?? 0; place <= (position ?? length - 1); place++)
      if ((latent ?? 0) < width) marks[place * width + (latent ?? 0)] = 1;
  return marks;
}
