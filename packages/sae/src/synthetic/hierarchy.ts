import type { Random } from "@latentkit/core";
import { type FeatureHierarchy, type FeatureTree, syntheticError } from "./config.ts";

/** A feature with its place in the forest, parents before children. */
interface Placed {
  readonly feature: number;
  /** -1 for a root. */
  readonly parent: number;
  readonly children: readonly number[];
  readonly exclusive: boolean;
}

/** The features that depend on others, as they are applied to samples. */
export interface Forest {
  readonly trees: readonly FeatureTree[];
  /** What probabilities are multiplied with so that features fire about as often as they say, `[features]`. */
  corrections(probabilities: Float64Array): Float64Array;
  /**
   * Silences, in one row of magnitudes, children of silent parents, and all but one of children that exclude each other.
   *
   * @param means mean magnitudes, where children are scaled by their parent; else null
   */
  apply(row: Float64Array, random: Random, means: Float64Array | null): void;
}

/** Builds the forest of a configuration. Throws `ConfigError` `SYNTHETIC_CONFIG` where a feature is missing or in two places. */
export function forestOf(config: FeatureHierarchy, features: number, random: Random): Forest {
  const trees = config.trees ?? grown(config, features, random);
  const placed = place(trees, features);
  return {
    trees,
    corrections(probabilities) {
      const factors = new Float64Array(features).fill(1);
      for (const { feature, parent } of placed) {
        const above = parent < 0 ? 1 : (probabilities[parent] ?? 0);
        if (above > 0) factors[feature] = 1 / above;
      }
      for (const { feature, children, exclusive } of placed) {
        const own = probabilities[feature] ?? 0;
        if (!exclusive || own <= 0) continue;
        const all = children.reduce((sum, child) => sum + (probabilities[child] ?? 0), 0);
        for (const child of children) {
          const others = Math.max(0, all - (probabilities[child] ?? 0));
          factors[child] = (factors[child] ?? 1) * (1 + others / own);
        }
      }
      return factors;
    },
    apply(row, draws, means) {
      for (const { feature, parent, children, exclusive } of placed) {
        if (parent >= 0) {
          const above = row[parent] ?? 0;
          const factor = above <= 0 ? 0 : means === null ? 1 : above / (means[parent] ?? 1);
          row[feature] = (row[feature] ?? 0) * factor;
        }
        // Which of the children stays is settled before any of them is looked at as a parent.
        if (exclusive && (row[feature] ?? 0) > 0) keepOne(row, children, draws);
      }
    },
  };
}

/** Leaves one of those that fire, at random. */
function keepOne(row: Float64Array, children: readonly number[], random: Random): void {
  const active = children.filter((child) => (row[child] ?? 0) > 0);
  if (active.length < 2) return;
  const winner = active[random.integer(active.length)];
  for (const child of active) if (child !== winner) row[child] = 0;
}

/** Roots, then their children level by level, while there are features. */
function grown(config: FeatureHierarchy, features: number, random: Random): FeatureTree[] {
  const { roots = 1, branching = 2, depth = 1, exclusiveShare = 0 } = config;
  interface Node {
    feature: number;
    children: Node[];
    exclusive: boolean;
  }
  let next = 0;
  const take = (count: number): Node[] => {
    const end = Math.min(features, next + count);
    const nodes: Node[] = [];
    while (next < end) nodes.push({ feature: next++, children: [], exclusive: false });
    return nodes;
  };
  const trees = take(roots);
  const parents: Node[] = [];
  let level = trees;
  for (let at = 0; at < depth; at++) {
    for (const node of level) node.children = take(branching);
    parents.push(...level.filter(({ children }) => children.length >= 2));
    level = level.flatMap(({ children }) => children);
  }
  const chosen = random.permutation(parents.length);
  for (const index of chosen.subarray(0, Math.floor(parents.length * exclusiveShare))) {
    const parent = parents[index];
    if (parent !== undefined) parent.exclusive = true;
  }
  return trees;
}

function place(trees: readonly FeatureTree[], features: number): Placed[] {
  const placed: Placed[] = [];
  const seen = new Set<number>();
  let level = trees.map((tree) => ({ tree, parent: -1 }));
  while (level.length > 0) {
    for (const { tree, parent } of level) {
      const { feature, children = [], exclusive = false } = tree;
      if (feature >= features || seen.has(feature))
        throw syntheticError(
          `hierarchy: feature ${feature} ${seen.has(feature) ? "is in two places" : `is not one of the ${features}`}`,
        );
      seen.add(feature);
      placed.push({ feature, parent, children: children.map((child) => child.feature), exclusive });
    }
    level = level.flatMap(({ tree }) =>
      (tree.children ?? []).map((child) => ({ tree: child, parent: tree.feature })),
    );
  }
  return placed;
}
