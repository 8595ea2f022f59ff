import { throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { SiteEdit } from "@latentkit/models";
import {
  add,
  concat,
  mul,
  slice,
  stopGradient,
  sub,
  sum,
  take,
  type Tensor,
} from "@latentkit/tensor";
import { checkNodes, type CircuitNode, nodeKey } from "./circuit-node.ts";
import {
  type EffectOptions,
  nodeEdits,
  nodeGradients,
  overFeatures,
} from "./latent-attribution.ts";
import {
  baselineNodes,
  disposeNodes,
  mapNodes,
  nodeSites,
  nodesIn,
  type NodeValues,
  partOf,
} from "./node-values.ts";
import { measureRows, promptLength } from "./prompts.ts";
import { type SplicedSites, splicesOf, spliceSites } from "./spliced-sites.ts";

/** What one node does through another alone, or straight to the metric. */
export interface CircuitEdge {
  readonly from: CircuitNode;
  /** null for the metric. */
  readonly to: CircuitNode | null;
  /** The part of the effect of `from` that goes this way, the mean over prompts. */
  readonly effect: number;
}

/** Options of {@link latentEdges}. */
export interface LatentEdgesOptions extends EffectOptions {
  /** Nodes between which edges are wanted. */
  readonly nodes: readonly CircuitNode[];
  /** Nodes whose incoming edges are found in one run, each with all prompts; 8 if left out. It changes speed alone. */
  readonly batchSize?: number | undefined;
}

/**
 * The edges between nodes, and from them to the metric (Marks et al., 2403.19647, appendix A.1):
 *
 * `effect(u -> d) = gradient of the metric to d * gradient of d to u * (baseline - clean) of u`
 *
 * where the gradient of d to u is direct: latents and errors of all sites between the two are held at their clean values, so that nothing
 * counts twice. (What is no node is not held: errors that are `"kept"`, and a transcoder's skip connection.) So what goes from u to all nodes after it, and straight to the metric, adds up to the effect of u
 * (`IE_atp`). A product of the metric's gradient, one Jacobian and a vector: one run with gradients for each node that edges go to.
 *
 * @returns all that are not 0, by the nodes that they go to, the metric last
 * @throws as `latentAttribution`
 */
export async function latentEdges(options: LatentEdgesOptions): Promise<CircuitEdge[]> {
  const { model, clean, nodes, signal, onProgress } = options;
  const { baseline = "zero", error = "node", batchSize = 8 } = options;
  const spliced = spliceSites(model, options.sites, error);
  checkNodes(nodes, spliced, promptLength(clean, "clean"));
  throwIfAborted(signal, "nothing is kept");
  const order = spliced.sites.map(({ site }) => site);
  const targets: (CircuitNode | null)[] = [
    ...order.slice(1).flatMap((site) => nodes.filter((node) => node.site === site)),
    null,
  ];
  const [values, differences, gradients] = model.device.scope(() => {
    const { captured } = model.run(clean, {
      edits: splicesOf(spliced),
      capture: nodeSites(spliced),
      logits: "none",
    });
    const own = nodesIn(spliced, captured);
    const base = baselineNodes(spliced, baseline, clean, own);
    return [
      own,
      mapNodes(own, (value, site, part) => sub(partOf(base, site, part), value)),
      nodeGradients(own, (deltas) =>
        sum(
          metricWith(
            options,
            spliced,
            nodeEdits(deltas, (value, delta) => add(value, delta)),
          ),
        ),
      ),
    ] as const;
  });
  try {
    const edges: CircuitEdge[] = [];
    let done = 0;
    for (const chunk of chunksOf(targets, Math.max(1, Math.floor(batchSize)))) {
      throwIfAborted(signal, "nothing is kept");
      const [first = null] = chunk;
      const before = new Set(
        order.slice(0, first === null ? undefined : order.indexOf(first.site)),
      );
      const upstream: NodeValues = new Map([...values].filter(([site]) => before.has(site)));
      const products = model.device.scope(() =>
        productsOf(options, spliced, chunk, { upstream, differences, gradients }),
      );
      try {
        for (const [site, { latents, error: errors }] of products) {
          const read = {
            // eslint-disable-next-line no-await-in-loop -- reads of one site at a time
            latents: await latents.floats(),
            // eslint-disable-next-line no-await-in-loop -- likewise
            errors: (await errors?.floats()) ?? null,
          };
          const from = nodes.filter((node) => node.site === site);
          for (const [copy, to] of chunk.entries())
            for (const node of from) {
              const effect = effectIn(read, node, copy, latents.shape, clean.length);
              if (effect !== 0) edges.push({ from: node, to, effect });
            }
        }
      } finally {
        disposeNodes(products);
      }
      done += chunk.length;
      onProgress?.({ stage: "edges", done, total: targets.length, unit: "nodes" });
      // eslint-disable-next-line no-await-in-loop -- lets signals through
      await yieldToEventLoop();
    }
    const rank = new Map(targets.map((to, index) => [to === null ? "" : nodeKey(to), index]));
    const rankOf = ({ to }: CircuitEdge) => rank.get(to === null ? "" : nodeKey(to)) ?? 0;
    return edges.toSorted((a, b) => rankOf(a) - rankOf(b));
  } finally {
    for (const each of [values, differences, gradients]) disposeNodes(each);
  }
}

/** Nodes of one site each, or the metric. */
function chunksOf(
  targets: readonly (CircuitNode | null)[],
  size: number,
): (CircuitNode | null)[][] {
  const chunks: (CircuitNode | null)[][] = [];
  for (const target of targets) {
    const last = chunks.at(-1);
    if (last !== undefined && last.length < size && last[0]?.site === target?.site)
      last.push(target);
    else chunks.push([target]);
  }
  return chunks;
}

interface Pass {
  readonly upstream: NodeValues;
  readonly differences: NodeValues;
  readonly gradients: NodeValues;
}

/** `gradient * (baseline - clean)` of the nodes upstream, a copy of the prompts for each target. Errors as `[copies * rows, pos]`. */
function productsOf(
  options: LatentEdgesOptions,
  spliced: SplicedSites,
  targets: readonly (CircuitNode | null)[],
  { upstream, differences, gradients }: Pass,
): NodeValues {
  const repeated = (value: Tensor): Tensor =>
    targets.length === 1
      ? value
      : concat(
          targets.map(() => value),
          { axis: 0 },
        );
  const copies = mapNodes(upstream, repeated);
  const found = nodeGradients(copies, (deltas) =>
    directLoss(options, spliced, targets, { deltas, gradients }),
  );
  return mapNodes(found, (gradient, site, part) => {
    const product = mul(gradient, repeated(partOf(differences, site, part)));
    return part === "latents" ? product : overFeatures(product);
  });
}

/**
 * What the targets hold, each in its copy of the prompts, weighted by the metric's gradient to it, where all nodes before depend on
 * their deltas and on nothing else. Its gradients are direct.
 */
function directLoss(
  options: LatentEdgesOptions,
  spliced: SplicedSites,
  targets: readonly (CircuitNode | null)[],
  { deltas, gradients }: { readonly deltas: NodeValues; readonly gradients: NodeValues },
): Tensor {
  const { model, clean } = options;
  const held = nodeEdits(deltas, (value, delta) => add(stopGradient(value), delta));
  const [first = null] = targets;
  if (first === null) return sum(metricWith(options, spliced, held));
  const sites = spliced.sites.filter(({ site }) => site === first.site || deltas.has(site));
  const target = { ...spliced, sites: sites.filter(({ site }) => site === first.site) };
  const { captured } = model.run(
    targets.flatMap(() => clean),
    {
      edits: [...splicesOf({ ...spliced, sites }), ...held],
      capture: nodeSites(target),
      logits: "none",
    },
  );
  const own = nodesIn(target, captured);
  // Sites side by side do not reach each other: the loss depends on something all the same.
  const nothing = [...deltas.values()].map(({ latents }) => mul(sum(latents), 0)).slice(0, 1);
  const parts = targets.flatMap((node, copy) => {
    if (node === null) return [];
    const part = node.latent === null ? "error" : "latents";
    const range = { start: copy * clean.length, end: (copy + 1) * clean.length };
    const value = cellOf(slice(partOf(own, node.site, part), { axis: 0, ...range }), node);
    return [sum(mul(value, stopGradient(cellOf(partOf(gradients, node.site, part), node))))];
  });
  return [...parts, ...nothing].reduce((total, part) => add(total, part));
}

/** A node's elements of a value `[rows, pos, ..]`. */
function cellOf(value: Tensor, { latent, position }: CircuitNode): Tensor {
  const there =
    position === null ? value : slice(value, { axis: 1, start: position, end: position + 1 });
  return latent === null ? there : take(there, Int32Array.of(latent), { axis: 2 });
}

/** The metric of the clean prompts with edits after the splices, `[rows]`. */
function metricWith(
  { model, clean, metric, logits = "last" }: LatentEdgesOptions,
  spliced: SplicedSites,
  edits: readonly SiteEdit[],
): Tensor {
  const run = model.run(clean, { edits: [...splicesOf(spliced), ...edits], logits });
  return measureRows(metric, run.logits, clean.length);
}

/** A node's product in one copy of the prompts, summed over its positions, the mean over prompts. */
function effectIn(
  read: { readonly latents: Float32Array; readonly errors: Float32Array | null },
  { latent, position }: CircuitNode,
  copy: number,
  [, length = 0, width = 0]: readonly number[],
  rows: number,
): number {
  let total = 0;
  for (let row = copy * rows; row < (copy + 1) * rows; row++)
    for (let place = position ?? 0; place <= (position ?? length - 1); place++) {
      const at = row * length + place;
      total += (latent === null ? read.errors?.[at] : read.latents[at * width + latent]) ?? 0;
    }
  return total / rows;
}
