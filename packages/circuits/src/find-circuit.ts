import { Sae } from "@latentkit/sae";
import type { NodePositions } from "./circuit-node.ts";
import type { Circuit } from "./circuit.ts";
import { latentEdges } from "./edges.ts";
import { latentAttribution, type LatentAttributionOptions } from "./latent-attribution.ts";
import { checkThreshold, rankNodes } from "./rank-nodes.ts";
import { spliceSites } from "./spliced-sites.ts";

/** Options of {@link findCircuit}. */
export interface FindCircuitOptions extends LatentAttributionOptions {
  /** The least effect of a node, signs aside, in units of the metric. */
  readonly nodeThreshold: number;
  /** The least effect of an edge; null for no edges. A tenth of the nodes' threshold if left out. */
  readonly edgeThreshold?: number | null | undefined;
  /** Positions as nodes of their own, for prompts that are aligned, or together; `"each"` if left out. */
  readonly positions?: NodePositions | undefined;
  /** At most so many nodes, those with the largest effects. */
  readonly maximumNodes?: number | undefined;
  /** See `latentEdges`. */
  readonly batchSize?: number | undefined;
  /** Of the nodes' intervals; 1,000 resamples and seed 0 if left out. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/**
 * A sparse feature circuit (Marks et al., 2403.19647): the latents and errors whose effect on a metric is at least a threshold,
 * and the edges between them that are. `evaluateCircuit` says whether the model does with it what it does without.
 *
 * @throws ConfigError `CIRCUIT_THRESHOLD`; as `latentAttribution`
 */
export async function findCircuit(options: FindCircuitOptions): Promise<Circuit> {
  const { model, nodeThreshold, positions = "each", error = "node", integratedSteps } = options;
  const { edgeThreshold = nodeThreshold / 10, maximumNodes, resamples, seed } = options;
  checkThreshold(nodeThreshold, "nodeThreshold");
  if (edgeThreshold !== null) checkThreshold(edgeThreshold, "edgeThreshold");
  const attribution = await latentAttribution(options);
  const nodes = rankNodes(attribution, {
    positions,
    threshold: nodeThreshold,
    limit: maximumNodes,
    resamples,
    seed,
  });
  const edges =
    edgeThreshold === null || nodes.length === 0
      ? []
      : await latentEdges({ ...options, nodes: bare(nodes) });
  const { sites } = spliceSites(model, options.sites, error);
  const { name, weightsHash } = model.identity();
  return {
    schemaVersion: 1,
    model: { name, weightsHash },
    sites: await Promise.all(
      sites.map(async ({ site, sae, from = null }, index) => ({
        site,
        latents: attribution.sites[index]?.latents ?? 0,
        sae: sae instanceof Sae ? await sae.identity() : null,
        from,
      })),
    ),
    error,
    positions,
    integratedSteps: integratedSteps ?? null,
    nodeThreshold,
    edgeThreshold,
    prompts: attribution.rows,
    length: attribution.length,
    metric: attribution.clean.reduce((sum, value) => sum + value, 0) / attribution.rows,
    nodes,
    edges: edges.filter(({ effect }) => Math.abs(effect) >= (edgeThreshold ?? 0)),
  };
}

/** Nodes without their effects, as edges name them. */
function bare(
  nodes: Circuit["nodes"],
): { site: string; latent: number | null; position: number | null }[] {
  return nodes.map(({ site, latent, position }) => ({ site, latent, position }));
}
