import { Random, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import { bootstrapInterval, type Interval } from "@latentkit/sae";
import { ablate } from "./ablate.ts";
import { checkNodes, type CircuitNode, type NodePositions } from "./circuit-node.ts";
import type { EffectOptions } from "./latent-attribution.ts";
import {
  baselineNodes,
  disposeNodes,
  nodeSites,
  nodesIn,
  type NodeValues,
  partOf,
} from "./node-values.ts";
import { measureRows, promptLength } from "./prompts.ts";
import { randomCircuit } from "./random-circuit.ts";
import { type SplicedSites, splicesOf, spliceSites } from "./spliced-sites.ts";

/** Options of {@link evaluateCircuit}. */
export interface EvaluateCircuitOptions extends EffectOptions {
  /** The circuit's nodes, at these sites. */
  readonly nodes: readonly CircuitNode[];
  /** Random circuits of the same size to compare with; none if left out. */
  readonly randomCircuits?: number | undefined;
  /** Of the bootstrap over prompts; 1,000 resamples if left out. */
  readonly resamples?: number | undefined;
  /** Of random circuits and bootstrap; 0 if left out. */
  readonly seed?: number | undefined;
}

/** A share of what the model does, with its 95% interval by bootstrap over prompts: null for a single one. */
export interface CircuitShare {
  readonly value: number;
  readonly interval: Interval | null;
}

/** What is left of a metric without parts of the model. */
export interface CircuitEvaluation {
  /** Number of nodes. */
  readonly nodes: number;
  readonly prompts: number;
  /** The metric, the mean over prompts: of the model, m(M); with all nodes ablated, m(0); with all but the circuit, m(C); with the circuit, m(M \ C). */
  readonly metric: {
    readonly model: number;
    readonly empty: number;
    readonly circuit: number;
    readonly complement: number;
  };
  /** (m(C) - m(0)) / (m(M) - m(0)): 1 where the circuit alone does what the model does. null where m(M) = m(0). */
  readonly faithfulness: CircuitShare | null;
  /** The faithfulness of what is not in the circuit, (m(M \ C) - m(0)) / (m(M) - m(0)): 0 where nothing is missing from it. */
  readonly completeness: CircuitShare | null;
  /** Faithfulness of random circuits, ascending. */
  readonly random: readonly number[];
}

/**
 * Whether a circuit does what the model does, by really ablating everything outside of it (faithfulness) and inside of it (completeness), as
 * in Marks et al. (2403.19647). Measure on prompts that it was not found on.
 *
 * Every latent of every site is either in the circuit or ablated, and with `error: "node"` errors too; other parts of the model compute what
 * they compute. Random circuits are drawn, site by site, from latents that are active on these prompts.
 *
 * @throws as `latentAttribution`
 */
export async function evaluateCircuit(options: EvaluateCircuitOptions): Promise<CircuitEvaluation> {
  const { model, clean, metric, nodes, logits = "last", signal, onProgress } = options;
  const { baseline = "zero", error = "node", randomCircuits = 0 } = options;
  const { resamples = 1000, seed = 0 } = options;
  const spliced = spliceSites(model, options.sites, error);
  checkNodes(nodes, spliced, promptLength(clean, "clean"));
  throwIfAborted(signal, "nothing is kept");

  const [base, candidates, whole] = await baseRun(options, spliced, baseline);
  try {
    const total = 3 + randomCircuits;
    let done = 0;
    const ablated = async (
      kept: readonly CircuitNode[],
      which: "inside" | "outside",
    ): Promise<readonly number[]> => {
      throwIfAborted(signal, "nothing is kept");
      using measured = model.device.scope(() => {
        const edits = [...splicesOf(spliced), ...ablate(base, kept, which)];
        return measureRows(metric, model.run(clean, { edits, logits }).logits, clean.length);
      });
      const values = [...(await measured.floats())];
      done += 1;
      onProgress?.({ stage: "circuit", done, total, unit: "circuits" });
      await yieldToEventLoop();
      return values;
    };
    const empty = await ablated([], "outside");
    const circuit = await ablated(nodes, "outside");
    const complement = await ablated(nodes, "inside");
    const share = (part: readonly number[]): CircuitShare | null =>
      shareOf({ whole, empty, part }, { resamples, seed });
    const random: number[] = [];
    for (let index = 0; index < randomCircuits; index++) {
      const drawn = randomCircuit(nodes, candidates, new Random(seed, 1 + index));
      // eslint-disable-next-line no-await-in-loop -- one run at a time
      const found = shareOf(
        { whole, empty, part: await ablated(drawn, "outside") },
        { resamples: 0, seed },
      );
      if (found !== null) random.push(found.value);
    }
    return {
      nodes: nodes.length,
      prompts: clean.length,
      metric: {
        model: meanOf(whole),
        empty: meanOf(empty),
        circuit: meanOf(circuit),
        complement: meanOf(complement),
      },
      faithfulness: share(circuit),
      completeness: share(complement),
      random: random.toSorted((a, b) => a - b),
    };
  } finally {
    disposeNodes(base);
  }
}

/** The baseline, nodes that are active on the prompts, and the metric by row. */
async function baseRun(
  options: EvaluateCircuitOptions,
  spliced: SplicedSites,
  baseline: NonNullable<EffectOptions["baseline"]>,
): Promise<[NodeValues, CircuitNode[], number[]]> {
  const { model, clean, metric, nodes, logits = "last", randomCircuits = 0 } = options;
  const [values, base, measured] = model.device.scope(() => {
    const run = model.run(clean, {
      edits: splicesOf(spliced),
      capture: nodeSites(spliced),
      logits,
    });
    const found = nodesIn(spliced, run.captured);
    return [
      found,
      baselineNodes(spliced, baseline, clean, found),
      measureRows(metric, run.logits, clean.length),
    ] as const;
  });
  try {
    const together = nodes.some(({ position }) => position === null);
    const candidates =
      randomCircuits === 0 ? [] : await activeNodes(values, together ? "together" : "each");
    return [base, candidates, [...(await measured.floats())]];
  } finally {
    disposeNodes(values);
    measured.dispose();
  }
}

/** Latents that are not 0 on some prompt, and all errors. */
async function activeNodes(values: NodeValues, positions: NodePositions): Promise<CircuitNode[]> {
  const found: CircuitNode[] = [];
  for (const [site, { error }] of values) {
    const latents = partOf(values, site, "latents");
    const [, length = 0, width = 0] = latents.shape;
    const cells = new Set<number>();
    // eslint-disable-next-line no-await-in-loop -- reads of one site at a time
    for (const [index, value] of (await latents.floats()).entries())
      if (value !== 0) cells.add(index % (positions === "each" ? length * width : width));
    for (const cell of cells)
      found.push({
        site,
        latent: cell % width,
        position: positions === "each" ? Math.floor(cell / width) : null,
      });
    if (error === null) continue;
    const places = positions === "each" ? Array.from({ length }, (_, place) => place) : [null];
    found.push(...places.map((position) => ({ site, latent: null, position })));
  }
  return found;
}

/** `(part - empty) / (whole - empty)` of means over prompts. */
function shareOf(
  metrics: Readonly<Record<"empty" | "part" | "whole", readonly number[]>>,
  { resamples, seed }: { readonly resamples: number; readonly seed: number },
): CircuitShare | null {
  const { whole, empty, part } = metrics;
  const ratio = (draws: ArrayLike<number>): number => {
    let [above, below] = [0, 0];
    for (const [row, none] of empty.entries()) {
      above += (draws[row] ?? 0) * ((part[row] ?? 0) - none);
      below += (draws[row] ?? 0) * ((whole[row] ?? 0) - none);
    }
    return above / below;
  };
  const value = ratio(whole.map(() => 1));
  if (!Number.isFinite(value)) return null;
  const interval =
    resamples === 0 ? null : bootstrapInterval(whole.length, ratio, { resamples, seed });
  return { value, interval };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
