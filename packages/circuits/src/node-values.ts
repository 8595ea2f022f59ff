import { internalFault } from "@latentkit/core";
import { add, mean, mul, type Tensor } from "@latentkit/tensor";
import { checkPairs, promptLength, type Prompts } from "./prompts.ts";
import { errorAt, latentsAt, type SplicedSites, splicesOf } from "./spliced-sites.ts";

/** What the nodes of a site hold. */
export interface SiteValues {
  /** `[rows, pos, latents]`; a baseline's axes may be 1. */
  readonly latents: Tensor;
  /** Of the shape of the site's value, likewise; null where the error is no node. */
  readonly error: Tensor | null;
}

/** By site. */
export type NodeValues = ReadonlyMap<string, SiteValues>;

/**
 * What takes the place of a node's value when it is patched or ablated: `"zero"`; its value in the `corrupt` counterpart of each prompt; or
 * its `mean` over other prompts, over `"all"` their positions unless `"each"` is to have its own.
 */
export type Baseline =
  | "zero"
  | { readonly corrupt: Prompts }
  | { readonly mean: Prompts; readonly positions?: "all" | "each" | undefined };

/** The sites' nodes in a run of the prompts, `capture`d there. The caller's, or the scope's. */
export function readNodes(spliced: SplicedSites, prompts: Prompts): NodeValues {
  const { model } = spliced;
  return model.device.scope(() => {
    const { captured } = model.run(prompts, {
      edits: splicesOf(spliced),
      capture: nodeSites(spliced),
      logits: "none",
    });
    return nodesIn(spliced, captured);
  });
}

/** The names under which a run captures the nodes. */
export function nodeSites({ sites, error }: SplicedSites): string[] {
  return sites.flatMap(({ site }) => [
    latentsAt(site),
    ...(error === "node" ? [errorAt(site)] : []),
  ]);
}

/** The nodes among what a run captured. */
export function nodesIn(
  { sites, error }: SplicedSites,
  captured: ReadonlyMap<string, Tensor>,
): NodeValues {
  const at = (name: string): Tensor => {
    const value = captured.get(name);
    if (value === undefined) throw internalFault(`a run did not capture ${name}`);
    return value;
  };
  return new Map(
    sites.map(({ site }) => [
      site,
      { latents: at(latentsAt(site)), error: error === "node" ? at(errorAt(site)) : null },
    ]),
  );
}

/** Prompts in a run where means are taken. */
const meanBatch = 16;

/**
 * The baseline's values of the clean prompts' nodes, of their shapes or with axes of 1. The caller's, or the scope's.
 *
 * @throws ShapeError `CIRCUIT_PROMPTS`
 */
export function baselineNodes(
  spliced: SplicedSites,
  baseline: Baseline,
  prompts: Prompts,
  clean: NodeValues,
): NodeValues {
  if (baseline === "zero") return mapNodes(clean, (value) => zerosLike(value));
  if ("corrupt" in baseline) {
    checkPairs(prompts, baseline.corrupt);
    return readNodes(spliced, baseline.corrupt);
  }
  const each = baseline.positions === "each";
  const length = promptLength(baseline.mean, "mean");
  if (each) checkPairs(prompts.slice(0, 1), baseline.mean.slice(0, 1));
  return spliced.model.device.scope(() => {
    let total: NodeValues | null = null;
    for (let start = 0; start < baseline.mean.length; start += meanBatch) {
      const batch = baseline.mean.slice(start, start + meanBatch);
      const before: NodeValues | null = total;
      total = spliced.model.device.scope(() => {
        const share = batch.length / baseline.mean.length;
        const axis = each ? [0] : [0, 1];
        const means = mapNodes(readNodes(spliced, batch), (value) =>
          mul(mean(value, { axis, keepDims: true }), share),
        );
        return before === null
          ? means
          : mapNodes(means, (value, site, part) => add(value, partOf(before, site, part)));
      });
    }
    if (total === null) throw internalFault(`no prompt of ${length} tokens was averaged`);
    return total;
  });
}

/** A baseline's value of a part of a site. */
export function partOf(nodes: NodeValues, site: string, part: "error" | "latents"): Tensor {
  const value = nodes.get(site)?.[part];
  if (value === undefined || value === null) throw internalFault(`no ${part} at ${site}`);
  return value;
}

/** The nodes with each tensor replaced. */
export function mapNodes(
  nodes: NodeValues,
  change: (value: Tensor, site: string, part: "error" | "latents") => Tensor,
): NodeValues {
  return new Map(
    [...nodes].map(([site, { latents, error }]) => [
      site,
      {
        latents: change(latents, site, "latents"),
        error: error === null ? null : change(error, site, "error"),
      },
    ]),
  );
}

/** Frees them. */
export function disposeNodes(nodes: NodeValues): void {
  for (const { latents, error } of nodes.values()) {
    latents.dispose();
    error?.dispose();
  }
}

function zerosLike(value: Tensor): Tensor {
  return value.device.zeros([1, 1, ...value.shape.slice(2)]);
}
