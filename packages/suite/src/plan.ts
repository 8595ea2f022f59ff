import { ConfigError } from "@latentkit/core";
import type { ModelConfig } from "@latentkit/models";
import { recipe, type RecipeName, type TrainConfig } from "@latentkit/sae";
import { hookNameOf, type SuiteSite } from "./sites.ts";
import type { Suite, SuiteEntry } from "./suite.ts";

/** One SAE of a suite. */
export interface PlannedSae {
  /** For example `res/layer_3/short-run-width_1536-sparsity_0.001-presentations_1500000-seed_0`. */
  readonly id: string;
  readonly site: SuiteSite;
  readonly layer: number;
  readonly hookName: string;
  readonly recipe: RecipeName;
  /** What the recipe trains, by its name in `@latentkit/sae`. */
  readonly architecture: string;
  readonly width: number;
  /** lambda; null for TopK. */
  readonly sparsity: number | null;
  /** null for JumpReLU. */
  readonly k: number | null;
  readonly presentations: number;
  /** null for the recipe's own. */
  readonly batchSize: number | null;
  readonly seed: number;
}

interface CommonJob {
  /** Unique in the plan; also the job's folder. */
  readonly id: string;
  readonly site: SuiteSite;
  readonly layer: number;
  readonly hookName: string;
  /** Ids of jobs that have to be done before. */
  readonly dependsOn: readonly string[];
}

/** Stores the activations of a site in a layer. */
export interface HarvestJob extends CommonJob {
  readonly kind: "harvest";
}

/** Trains, measures or writes out an SAE. */
export interface SaeJob extends CommonJob {
  readonly kind: "evaluate" | "export" | "train";
  readonly sae: PlannedSae;
}

/** A piece of work that is done as a whole or not at all. */
export type SuiteJob = HarvestJob | SaeJob;

/** What a suite asks of a model. */
export interface SuitePlan {
  readonly saes: readonly PlannedSae[];
  /** Every job after those that it depends on; the jobs of a site in a layer are neighbours. */
  readonly jobs: readonly SuiteJob[];
}

/**
 * The jobs of a suite: at each site and layer a harvest, and for each SAE a training, an evaluation and an export. Sites and layers
 * without an SAE are not harvested. Reads no file and runs nothing.
 *
 * @throws ConfigError `SUITE_LAYER` for a layer that the model does not have, `SUITE_CONTEXT` for contexts longer than it takes,
 *   `SUITE_DUPLICATE` for the same SAE twice
 */
export function planSuite(
  suite: Suite,
  model: Pick<ModelConfig, "contextSize" | "layers">,
): SuitePlan {
  checkModel(suite, model);
  const layers =
    suite.layers === "all"
      ? Array.from({ length: model.layers }, (_, index) => index)
      : suite.layers;
  const saes: PlannedSae[] = [];
  const jobs: SuiteJob[] = [];
  for (const site of suite.sites) {
    for (const layer of layers) {
      const here = suite.entries
        .filter(
          (entry) =>
            (entry.sites?.includes(site) ?? true) && (entry.layers?.includes(layer) ?? true),
        )
        .flatMap((entry) => saesOf(entry, site, layer));
      if (here.length === 0) continue;
      saes.push(...here);
      const place = { site, layer, hookName: hookNameOf(site, layer) };
      const harvest = `${folderOf(site, layer)}/harvest`;
      jobs.push({ kind: "harvest", id: harvest, ...place, dependsOn: [] });
      for (const sae of here) {
        const [train, evaluate] = [`${sae.id}/train`, `${sae.id}/evaluate`];
        jobs.push(
          { kind: "train", id: train, ...place, sae, dependsOn: [harvest] },
          { kind: "evaluate", id: evaluate, ...place, sae, dependsOn: [harvest, train] },
          { kind: "export", id: `${sae.id}/export`, ...place, sae, dependsOn: [train, evaluate] },
        );
      }
    }
  }
  checkDistinct(saes);
  return { saes, jobs };
}

/** `res/layer_3`: where a site of a layer has its jobs and activations. */
export function folderOf(site: SuiteSite, layer: number): string {
  return `${site}/layer_${layer}`;
}

/** The training configuration of an SAE. Throws what `recipe` throws, `RECIPE_NEEDS_K` for example. */
export function recipeOf(
  planned: Pick<
    PlannedSae,
    "batchSize" | "k" | "presentations" | "recipe" | "seed" | "sparsity" | "width"
  >,
): TrainConfig {
  const { seed, presentations, width, sparsity, k, batchSize } = planned;
  return recipe(planned.recipe, {
    dSae: width,
    seed,
    tokens: presentations,
    ...(batchSize === null ? {} : { batchSize }),
    ...(sparsity === null ? {} : { sparsity }),
    ...(k === null ? {} : { k }),
  });
}

function saesOf(entry: SuiteEntry, site: SuiteSite, layer: number): PlannedSae[] {
  const { width, presentations, batchSize = null, seed } = entry;
  const variants = [
    ...(entry.sparsity ?? []).map((sparsity) => ({ sparsity, k: null })),
    ...(entry.k ?? []).map((k) => ({ sparsity: null, k })),
  ];
  return variants.map(({ sparsity, k }) => {
    const own = { recipe: entry.recipe, width, sparsity, k, presentations, batchSize, seed };
    const parts = [
      entry.recipe,
      `width_${width}`,
      k === null ? `sparsity_${sparsity}` : `k_${k}`,
      `presentations_${presentations}`,
      ...(batchSize === null ? [] : [`batch_${batchSize}`]),
      `seed_${seed}`,
    ];
    return {
      id: `${folderOf(site, layer)}/${parts.join("-")}`,
      site,
      layer,
      hookName: hookNameOf(site, layer),
      architecture: recipeOf(own).architecture,
      ...own,
    };
  });
}

function checkModel(suite: Suite, model: Pick<ModelConfig, "contextSize" | "layers">): void {
  const named = [
    ...(suite.layers === "all" ? [] : suite.layers),
    ...suite.entries.flatMap(({ layers = [] }) => layers),
  ];
  const stray = named.find((layer) => layer >= model.layers);
  if (stray !== undefined) {
    throw new ConfigError({
      code: "SUITE_LAYER",
      message: `the suite names layer ${stray}, but the model's layers are 0 to ${model.layers - 1}`,
      fix: 'name layers that there are, or "all"',
      where: suite.name,
    });
  }
  if (suite.contextSize > model.contextSize) {
    throw new ConfigError({
      code: "SUITE_CONTEXT",
      message: `the suite has contexts of ${suite.contextSize} tokens, but the model takes ${model.contextSize}`,
      fix: `give a contextSize of at most ${model.contextSize}`,
      where: suite.name,
    });
  }
}

function checkDistinct(saes: readonly PlannedSae[]): void {
  const seen = new Set<string>();
  for (const { id } of saes) {
    if (seen.has(id)) {
      throw new ConfigError({
        code: "SUITE_DUPLICATE",
        message: `two entries ask for the same SAE, ${id}`,
        fix: "remove one of them, or give it another seed",
      });
    }
    seen.add(id);
  }
}
