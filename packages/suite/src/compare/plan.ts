import { ConfigError } from "@latentkit/core";
import type { ModelConfig } from "@latentkit/models";
import { recipe, type RecipeName, type TrainConfig } from "@latentkit/sae";
import { hookNameOf } from "../sites.ts";
import type { ComparedArchitecture, Comparison } from "./config.ts";

/** An SAE of a comparison: a trial of the tuning, or one that is compared. */
export interface ComparedSae {
  /** Unique, and its folder: `tune/seed_100/TopK-k_16-rate_3`, `train/seed_1/TopK-k_16-rate_3`. */
  readonly id: string;
  /** Name of its {@link ComparedArchitecture}. */
  readonly architecture: string;
  readonly recipe: RecipeName;
  /** lambda; null where there is a k. */
  readonly sparsity: number | null;
  readonly k: number | null;
  /** Multiple of the recipe's own learning rate. */
  readonly factor: number;
  readonly seed: number;
}

/** Points in the course of a training, and checkpoints: each costs a pass over held-out activations, and a copy of all parameters. */
const points = 5;

/** The trials by which learning rates are chosen: the same number for every architecture. */
export function trialsOf({ architectures, tuning }: Comparison): ComparedSae[] {
  return tuning.seeds.flatMap((seed) =>
    architectures.flatMap((architecture) => {
      const sparsities = spread(sparsitiesOf(architecture), tuning.sparsities);
      return tuning.factors.flatMap((factor) =>
        sparsities.map((sparsity) => saeOf("tune", architecture, sparsity, factor, seed)),
      );
    }),
  );
}

/** The SAEs that are compared, seed by seed. @param factors the chosen one of each architecture */
export function runsOf(
  { architectures, seeds }: Comparison,
  factors: ReadonlyMap<string, number>,
): ComparedSae[] {
  return seeds.flatMap((seed) =>
    architectures.flatMap((architecture) =>
      sparsitiesOf(architecture).map((sparsity) =>
        saeOf("train", architecture, sparsity, factors.get(architecture.name) ?? 1, seed),
      ),
    ),
  );
}

/** How an SAE is trained: its recipe, with the comparison's budget and batch, and its own learning rate. */
export function trainingOf(
  { width, presentations, batchSize }: Comparison,
  { recipe: name, sparsity, k, factor, seed }: Omit<ComparedSae, "architecture" | "id">,
): TrainConfig {
  const config = recipe(name, {
    dSae: width,
    tokens: presentations,
    batchSize,
    seed,
    points,
    ...(sparsity === null ? {} : { sparsity }),
    ...(k === null ? {} : { k }),
  });
  return { ...config, learningRate: factor * config.learningRate };
}

/** The TransformerLens name of the site that a comparison is about. */
export function siteOf({ site, layer }: Comparison): string {
  return hookNameOf(site, layer);
}

/**
 * Looks whether a model has what a comparison asks of it.
 *
 * @throws ConfigError `SUITE_LAYER`, `SUITE_CONTEXT`
 */
export function checkComparison(
  { layer, contextSize, name }: Comparison,
  model: Pick<ModelConfig, "contextSize" | "layers">,
): void {
  if (layer >= model.layers) {
    throw new ConfigError({
      code: "SUITE_LAYER",
      message: `the comparison is of layer ${layer}, but the model's layers are 0 to ${model.layers - 1}`,
      fix: "name a layer that there is",
      where: name,
    });
  }
  if (contextSize > model.contextSize) {
    throw new ConfigError({
      code: "SUITE_CONTEXT",
      message: `the comparison has contexts of ${contextSize} tokens, but the model takes ${model.contextSize}`,
      fix: `give a contextSize of at most ${model.contextSize}`,
      where: name,
    });
  }
}

type Sparsity = Pick<ComparedSae, "k" | "sparsity">;

function sparsitiesOf({ sparsity = [], k = [] }: ComparedArchitecture): Sparsity[] {
  return [
    ...sparsity.map((one) => ({ sparsity: one, k: null })),
    ...k.map((one) => ({ sparsity: null, k: one })),
  ];
}

/** `count` of the items, the first and the last among them; all where there are fewer. */
function spread<Item>(items: readonly Item[], count: number): Item[] {
  const taken = Math.min(count, items.length);
  const places = new Set(
    Array.from({ length: taken }, (_, index) =>
      Math.round((index * (items.length - 1)) / Math.max(1, taken - 1)),
    ),
  );
  return items.filter((_, place) => places.has(place));
}

function saeOf(
  stage: "train" | "tune",
  { name, recipe: own }: ComparedArchitecture,
  { sparsity, k }: Sparsity,
  factor: number,
  seed: number,
): ComparedSae {
  const part = k === null ? `sparsity_${sparsity}` : `k_${k}`;
  // Large numbers are written with a plus, which no folder of a job may have.
  const id = `${stage}/seed_${seed}/${name}-${part}-rate_${factor}`.replaceAll("+", "");
  return { id, architecture: name, recipe: own, sparsity, k, factor, seed };
}
