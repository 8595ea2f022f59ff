import type { Random } from "@latentkit/core";
import { type CircuitNode, nodeKey } from "./circuit-node.ts";

/**
 * A circuit of the same size at each site, latents and errors apart, of nodes drawn evenly from those that there are to draw from: what a
 * circuit found by its effects is compared with.
 *
 * @param candidates nodes that are active; where a site has too few, all of them are taken
 */
export function randomCircuit(
  nodes: readonly CircuitNode[],
  candidates: readonly CircuitNode[],
  random: Random,
): CircuitNode[] {
  const kind = ({ site, latent }: CircuitNode) => `${site}/${latent === null ? "error" : "latent"}`;
  return [...new Set(nodes.map(kind))].flatMap((wanted) => {
    const size = nodes.filter((node) => kind(node) === wanted).length;
    const own = candidates
      .filter((node) => kind(node) === wanted)
      .toSorted((a, b) => (nodeKey(a) < nodeKey(b) ? -1 : 1));
    const drawn = random.permutation(own.length).subarray(0, size);
    return own.filter((_, index) => drawn.includes(index));
  });
}
