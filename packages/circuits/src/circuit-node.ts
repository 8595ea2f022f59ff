import { ConfigError } from "@latentkit/core";
import type { SplicedSites } from "./spliced-sites.ts";

/** A latent, or the error, of a site, at a position. */
export interface CircuitNode {
  readonly site: string;
  /** null for the error, the part of the value that the SAE misses. */
  readonly latent: number | null;
  /** On the `pos` axis; null for all positions together. */
  readonly position: number | null;
}

/** How nodes are told apart by position: `"each"` is a node of its own, or they are one node `"together"`. */
export type NodePositions = "each" | "together";

/** A key that is the same for equal nodes. */
export function nodeKey({ site, latent, position }: CircuitNode): string {
  return `${site}/${latent ?? "error"}@${position ?? "*"}`;
}

/** For people: `blocks.3.hook_resid_post #117 @4`. */
export function nodeLabel({ site, latent, position }: CircuitNode): string {
  const what = latent === null ? "error" : `#${latent}`;
  return `${site} ${what}${position === null ? "" : ` @${position}`}`;
}

/**
 * Checks that nodes are at these sites and positions. A latent that the SAE has not got is a node that is never active.
 *
 * @throws ConfigError `CIRCUIT_NODES`
 */
export function checkNodes(
  nodes: readonly CircuitNode[],
  { sites, error }: SplicedSites,
  length: number,
): void {
  const names = new Set(sites.map(({ site }) => site));
  const bad = nodes.find(
    ({ site, latent, position }) =>
      !names.has(site) || (position ?? 0) >= length || (latent === null && error !== "node"),
  );
  if (bad === undefined) return;
  throw new ConfigError({
    code: "CIRCUIT_NODES",
    message: `the circuit has a node ${nodeLabel(bad)}, and nodes here are at ${[...names].join(", ")}, at positions 0 to ${length - 1}${error === "node" ? "" : ", errors left out"}`,
    fix: 'give the sites, prompts and `error` that the circuit was found with; with positions "together" prompts may have any length',
    where: bad.site,
  });
}
