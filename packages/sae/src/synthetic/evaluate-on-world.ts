import type { LongCallOptions } from "@latentkit/core";
import { sparseToDense } from "@latentkit/tensor";
import { blockRowsFor, rowBlocks } from "../blocks.ts";
import { compareDirections } from "../evaluate/compare-directions.ts";
import { VarianceSums } from "../evaluate/rows.ts";
import type { Sae } from "../sae.ts";
import { checkWidth } from "../weights.ts";
import type { SyntheticRows, SyntheticWorld } from "./world.ts";

/** What {@link evaluateOnWorld} measures, as SAELens's `eval_sae_on_synthetic_data` does. */
export interface WorldMetrics {
  readonly rows: number;
  /** Mean number of features that fire. */
  readonly trueL0: number;
  /** Mean number of active latents. */
  readonly l0: number;
  /** Latents that never fired. */
  readonly deadLatents: number;
  /** E(||x^|| / ||x||) over rows that are not 0. */
  readonly shrinkage: number;
  /** 1 - FVU. */
  readonly explainedVariance: number;
  /** Mean |cosine| of decoder rows and features in the best one-to-one matching. */
  readonly mcc: number;
  /** Features that are some latent's nearest one, over the latents: 1 where each latent has its own. */
  readonly uniqueness: number;
  /** Means over latents, each as a detector of the feature nearest to its decoder row. 0 for a latent that never fires. */
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly accuracy: number;
}

/**
 * Holds an SAE against the truth of a synthetic world: which directions it found, and whether its latents fire where the features do.
 *
 * @param rows of the world, which training has not seen: another stream of `sample`
 * @throws MismatchError `SAE_WIDTH`; AbortedError
 */
export async function evaluateOnWorld(
  sae: Sae,
  world: SyntheticWorld,
  rows: SyntheticRows,
  options: Pick<LongCallOptions, "signal"> = {},
): Promise<WorldMetrics> {
  const { dIn, features } = world.config;
  checkWidth(sae.config, dIn, "the synthetic world");
  const { device } = sae;
  const { dSae } = sae.config;
  const decoder = await sae.decoder.floats();
  const comparison = await compareDirections(
    { rows: decoder, width: dIn },
    { rows: world.directions, width: dIn },
    { device, absolute: true, resamples: 0, signal: options.signal },
  );
  const nearest = nearestFeatures(decoder, world);
  const counts = {
    latent: new Float64Array(dSae),
    both: new Float64Array(dSae),
    feature: new Float64Array(features),
  };
  const variance = new VarianceSums(dIn);
  variance.add(rows.activations);
  const count = rows.activations.length / dIn;
  let [squaredError, ratio, ratios] = [0, 0, 0];
  for (const [start, end] of rowBlocks(count, blockRowsFor(dSae))) {
    const block = rows.activations.subarray(start * dIn, end * dIn);
    const made = device.scope(() => {
      const x = device.tensor(block, [end - start, dIn]);
      const latents = sae.encode(x);
      return { latents: sparseToDense(latents), output: sae.decode(latents, x) };
    });
    const [latents, output] = [await made.latents.floats(), await made.output.floats()];
    made.latents.dispose();
    made.output.dispose();
    for (let row = 0; row < end - start; row++) {
      let [input, written] = [0, 0];
      for (let column = 0; column < dIn; column++) {
        const [value, decoded] = [block[row * dIn + column] ?? 0, output[row * dIn + column] ?? 0];
        squaredError += (value - decoded) ** 2;
        input += value * value;
        written += decoded * decoded;
      }
      if (input > 1e-12) {
        ratio += Math.sqrt(written / input);
        ratios += 1;
      }
      const truth = rows.features.subarray((start + row) * features, (start + row + 1) * features);
      for (const [feature, magnitude] of truth.entries())
        if (magnitude > 0) counts.feature[feature] = (counts.feature[feature] ?? 0) + 1;
      for (let latent = 0; latent < dSae; latent++) {
        if (latents[row * dSae + latent] === 0) continue;
        counts.latent[latent] = (counts.latent[latent] ?? 0) + 1;
        if ((truth[nearest[latent] ?? 0] ?? 0) > 0)
          counts.both[latent] = (counts.both[latent] ?? 0) + 1;
      }
    }
  }
  return {
    rows: count,
    trueL0: total(counts.feature) / count,
    l0: total(counts.latent) / count,
    deadLatents: counts.latent.filter((fired) => fired === 0).length,
    shrinkage: ratios === 0 ? 0 : ratio / ratios,
    explainedVariance: 1 - squaredError / variance.total(),
    mcc: comparison.meanMatchedCosine,
    uniqueness: new Set(nearest).size / dSae,
    ...detection(counts, nearest, count),
  };
}

/** The feature of the largest |cosine| with each decoder row. Directions are unit rows. */
export function nearestFeatures(
  decoder: Float32Array,
  {
    config,
    directions,
  }: Pick<SyntheticWorld, "directions"> & {
    readonly config: Pick<SyntheticWorld["config"], "dIn" | "features">;
  },
): number[] {
  const { dIn, features } = config;
  return Array.from({ length: decoder.length / dIn }, (_, latent) => {
    let [best, most] = [0, -1];
    for (let feature = 0; feature < features; feature++) {
      let product = 0;
      for (let column = 0; column < dIn; column++)
        product +=
          (decoder[latent * dIn + column] ?? 0) * (directions[feature * dIn + column] ?? 0);
      if (Math.abs(product) > most) [best, most] = [feature, Math.abs(product)];
    }
    return best;
  });
}

/**
 * Mean precision, recall, F1 and accuracy of latents as detectors of their features, from how often each latent fired, each feature did, and
 * each latent together with its own feature, over `rows`.
 */
export function detection(
  counts: Readonly<Record<"both" | "feature" | "latent", Float64Array>>,
  nearest: readonly number[],
  rows: number,
): Pick<WorldMetrics, "accuracy" | "f1" | "precision" | "recall"> {
  const sums = { precision: 0, recall: 0, f1: 0, accuracy: 0 };
  for (const [latent, feature] of nearest.entries()) {
    const [both, found, there] = [
      counts.both[latent] ?? 0,
      counts.latent[latent] ?? 0,
      counts.feature[feature] ?? 0,
    ];
    const precision = found > 0 ? both / found : 0;
    const recall = there > 0 ? both / there : 0;
    sums.precision += precision;
    sums.recall += recall;
    sums.f1 += both > 0 ? (2 * precision * recall) / (precision + recall) : 0;
    sums.accuracy += (rows - found - there + 2 * both) / rows;
  }
  const mean = (sum: number): number => sum / nearest.length;
  return {
    precision: mean(sums.precision),
    recall: mean(sums.recall),
    f1: mean(sums.f1),
    accuracy: mean(sums.accuracy),
  };
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
