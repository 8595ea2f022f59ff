import {
  ConfigError,
  type LongCallOptions,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { LanguageModel, SiteEdit } from "@latentkit/models";
import { add, mul, stopGradient, sub, sum, type Tensor, valueAndGrad } from "@latentkit/tensor";
import {
  type Baseline,
  baselineNodes,
  disposeNodes,
  mapNodes,
  nodeSites,
  nodesIn,
  type NodeValues,
  partOf,
} from "./node-values.ts";
import {
  measureRows,
  type MetricLogits,
  promptLength,
  type Prompts,
  type RowMetric,
} from "./prompts.ts";
import {
  errorAt,
  type ErrorTerm,
  latentsAt,
  type LatentSite,
  type SplicedSites,
  splicesOf,
  spliceSites,
} from "./spliced-sites.ts";

/** What all effects of latents are taken of. */
export interface EffectOptions extends LongCallOptions {
  readonly model: LanguageModel;
  readonly sites: readonly LatentSite[];
  /** Prompts whose metric is explained, all of one length. They go through the model in one run. */
  readonly clean: Prompts;
  /** What a node is patched to; `"zero"` if left out. */
  readonly baseline?: Baseline | undefined;
  readonly metric: RowMetric;
  /** Which positions' logits the metric sees; the `"last"` alone if left out. */
  readonly logits?: MetricLogits | undefined;
  /** What becomes of the SAEs' errors; a `"node"` of their own if left out. */
  readonly error?: ErrorTerm | undefined;
}

/** Options of {@link latentAttribution}. */
export interface LatentAttributionOptions extends EffectOptions {
  /**
   * Integrated gradients (Sundararajan et al. 2017; `IE_ig` of Marks et al.): the gradient's mean over this many points between a
   * site's clean nodes and the baseline, site by site, each a run of its own; the other sites follow. Points are the middles of equal
   * steps (their code takes the beginnings), so that the effects of a site's nodes add up to patching the whole site with an error that
   * falls as 1 / steps^2 where the metric is smooth on the way. If left out, the gradient at the clean values, `IE_atp`: one run for
   * all sites.
   */
  readonly integratedSteps?: number | undefined;
}

/** The effects of one site's nodes. */
export interface SiteEffects {
  readonly site: string;
  /** Number of latents. */
  readonly latents: number;
  /** `[rows, pos, latents]`: about how much the row's metric changes if the latent is patched to the baseline there. */
  readonly effects: Float32Array;
  /** `[rows, pos]`, of the error; null where it is no node. */
  readonly errorEffects: Float32Array | null;
  /** Clean activations, `[rows, pos, latents]`. */
  readonly activations: Float32Array;
  /** By row, how much the metric does change if all nodes of the site are patched at once. */
  readonly together: readonly number[];
}

/** What {@link latentAttribution} finds. */
export interface LatentAttribution {
  readonly rows: number;
  /** Tokens of each prompt. */
  readonly length: number;
  /** The clean run's metric by row. */
  readonly clean: readonly number[];
  /** In forward order. */
  readonly sites: readonly SiteEffects[];
}

/**
 * Latent attribution patching: about how much each SAE latent, at each position, does for a metric, from gradients and the difference
 * of activations (Marks et al., 2403.19647, equations 3 and 4):
 *
 * `effect = gradient of the metric to the node * (baseline - clean)`, about `metric(node := baseline) - metric(clean)`
 *
 * A latent that a metric needs has a negative effect. Exact for a metric that is linear in the node. An error node counts as one
 * node a position: its vector's product with the gradient.
 *
 * @throws ConfigError `CIRCUIT_SITES`, `CIRCUIT_STEPS`, `SITE_UNKNOWN`; ShapeError `CIRCUIT_PROMPTS`, `CIRCUIT_METRIC`; `LatentkitError`
 *   `AUTOGRAD_NO_DEPENDENCE` for a metric without gradient; what `model.run` and the metric throw; AbortedError between runs
 */
export async function latentAttribution(
  options: LatentAttributionOptions,
): Promise<LatentAttribution> {
  const { model, clean, metric, logits = "last", signal, onProgress } = options;
  const { baseline = "zero", error = "node", integratedSteps } = options;
  const spliced = spliceSites(model, options.sites, error);
  const points = pointsOf(integratedSteps);
  const length = promptLength(clean, "clean");
  const rows = clean.length;
  throwIfAborted(signal, "nothing is kept");

  const [values, base, measured] = model.device.scope(() => {
    const run = model.run(clean, {
      edits: splicesOf(spliced),
      capture: nodeSites(spliced),
      logits,
    });
    const nodes = nodesIn(spliced, run.captured);
    const patched = baselineNodes(spliced, baseline, clean, nodes);
    return [nodes, patched, measureRows(metric, run.logits, rows)] as const;
  });
  try {
    const cleanMetric = [...(await measured.floats())];
    const groups = points === null ? [spliced.sites] : spliced.sites.map((site) => [site]);
    const found: SiteEffects[] = [];
    for (const group of groups) {
      const part = points !== null && error !== "none" ? { ...spliced, sites: group } : spliced;
      const names = group.map(({ site }) => site);
      const effects = model.device.scope(() =>
        effectsOf(options, part, names, { values, base, points: points ?? [0] }),
      );
      try {
        for (const site of names) {
          throwIfAborted(signal, "nothing is kept");
          const latents = partOf(effects, site, "latents");
          using whole = model.device.scope(() => patchedMetric(options, part, site, base));
          // eslint-disable-next-line no-await-in-loop -- reads of one site at a time
          const after = await whole.floats();
          found.push({
            site,
            latents: latents.shape[2] ?? 0,
            // eslint-disable-next-line no-await-in-loop -- likewise
            effects: await latents.floats(),
            // eslint-disable-next-line no-await-in-loop -- likewise
            errorEffects: (await effects.get(site)?.error?.floats()) ?? null,
            // eslint-disable-next-line no-await-in-loop -- likewise
            activations: await partOf(values, site, "latents").floats(),
            together: cleanMetric.map((before, row) => (after[row] ?? Number.NaN) - before),
          });
          onProgress?.({
            stage: "latent attribution",
            done: found.length,
            total: spliced.sites.length,
            unit: "sites",
          });
          // eslint-disable-next-line no-await-in-loop -- lets signals through
          await yieldToEventLoop();
        }
      } finally {
        disposeNodes(effects);
      }
    }
    return { rows, length, clean: cleanMetric, sites: found };
  } finally {
    measured.dispose();
    disposeNodes(values);
    disposeNodes(base);
  }
}

interface Path {
  /** Clean values, and what they are patched to. */
  readonly values: NodeValues;
  readonly base: NodeValues;
  /** Where gradients are taken, from clean (0) to the baseline (1). */
  readonly points: readonly number[];
}

/** `(baseline - clean) * gradient` of some sites' nodes, the gradient averaged over the points. Errors as `[rows, pos]`. */
function effectsOf(
  { model, clean, metric, logits = "last" }: LatentAttributionOptions,
  spliced: SplicedSites,
  names: readonly string[],
  { values, base, points }: Path,
): NodeValues {
  const { device } = model;
  const own: NodeValues = new Map([...values].filter(([site]) => names.includes(site)));
  const differences = mapNodes(own, (value, site, part) => sub(partOf(base, site, part), value));
  const gradientsAt = (point: number): NodeValues =>
    nodeGradients(own, (deltas) => {
      const edits = [
        ...splicesOf(spliced),
        ...nodeEdits(deltas, (value, delta, site, part) => {
          if (point === 0) return add(value, delta);
          const moved = add(
            partOf(values, site, part),
            mul(partOf(differences, site, part), point),
          );
          return add(stopGradient(moved), delta);
        }),
      ];
      // Rows do not see each other, so that each row's gradient is that of its own metric.
      return sum(measureRows(metric, model.run(clean, { edits, logits }).logits, clean.length));
    });
  let total: NodeValues | null = null;
  for (const point of points) {
    const before: NodeValues | null = total;
    total = device.scope(() => {
      const found = gradientsAt(point);
      if (before === null) return found;
      return mapNodes(found, (value, site, part) => add(value, partOf(before, site, part)));
    });
  }
  return mapNodes(total ?? new Map(), (gradient, site, part) => {
    const effect = mul(mul(gradient, partOf(differences, site, part)), 1 / points.length);
    return part === "latents" ? effect : overFeatures(effect);
  });
}

/** The metric with all of a site's nodes at the baseline, `[rows]`. */
function patchedMetric(
  { model, clean, metric, logits = "last" }: LatentAttributionOptions,
  spliced: SplicedSites,
  site: string,
  base: NodeValues,
): Tensor {
  const values: NodeValues = new Map([...base].filter(([name]) => name === site));
  const edits = [
    ...splicesOf(spliced),
    // A sum instead of a plain replacement: a baseline's axes may be 1.
    ...nodeEdits(values, (value, baseline) => add(value.device.zeros(value.shape), baseline)),
  ];
  return measureRows(metric, model.run(clean, { edits, logits }).logits, clean.length);
}

/** Edits of the nodes by what is given for each. */
export function nodeEdits(
  nodes: NodeValues,
  edit: (value: Tensor, given: Tensor, site: string, part: "error" | "latents") => Tensor,
): SiteEdit[] {
  return [...nodes].flatMap(([site, { latents, error }]) => [
    { site: latentsAt(site), edit: (value: Tensor) => edit(value, latents, site, "latents") },
    ...(error === null
      ? []
      : [{ site: errorAt(site), edit: (value: Tensor) => edit(value, error, site, "error") }]),
  ]);
}

/** Gradients of a loss to tensors of zeros of the nodes' shapes, that it adds to them. */
export function nodeGradients(nodes: NodeValues, loss: (deltas: NodeValues) => Tensor): NodeValues {
  const [first] = nodes.values();
  if (first === undefined) return new Map();
  const { device } = first.latents;
  return device.scope(() => {
    const zeros = mapNodes(nodes, (value) => device.zeros(value.shape));
    const flat: Record<string, Tensor> = {};
    for (const [site, { latents, error }] of zeros) {
      flat[latentsAt(site)] = latents;
      if (error !== null) flat[errorAt(site)] = error;
    }
    const { gradients } = valueAndGrad<Record<string, Tensor>, [], Tensor>(() =>
      device.scope(() => loss(zeros)),
    )(flat);
    return mapNodes(zeros, (zero, site, part) => {
      const name = part === "latents" ? latentsAt(site) : errorAt(site);
      return gradients[name] ?? zero;
    });
  });
}

/** Summed over all axes but rows and positions, `[rows, pos]`. */
export function overFeatures(value: Tensor): Tensor {
  const [rows = 0, length = 0] = value.shape;
  return sum(value.reshape([rows, length, value.size / (rows * length)]), { axis: 2 });
}

/** Middles of equal steps, or null for the gradient at the clean values. @throws ConfigError `CIRCUIT_STEPS` */
function pointsOf(steps: number | undefined): number[] | null {
  if (steps === undefined) return null;
  if (Number.isSafeInteger(steps) && steps >= 1)
    return Array.from({ length: steps }, (_, k) => (k + 0.5) / steps);
  throw new ConfigError({
    code: "CIRCUIT_STEPS",
    message: `integratedSteps is ${steps}, not a positive integer`,
    fix: "give the number of points between clean and baseline, for example 10, or leave it out",
  });
}
