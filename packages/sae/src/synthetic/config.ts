import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues } from "../config.ts";

/** A number for each feature: one for all, a list, or a rule over the features' order. */
export type PerFeature =
  | number
  | readonly number[]
  | {
      /** From `start` for the first to `end` for the last, by equal steps or by equal factors. */
      readonly kind: "exponential" | "linear";
      readonly start: number;
      readonly end: number;
    }
  | {
      /** 1 / rank^exponent, stretched to `start` .. `end`. */
      readonly kind: "zipf";
      readonly exponent: number;
      readonly start: number;
      readonly end: number;
    }
  | { readonly kind: "uniform"; readonly from: number; readonly to: number }
  | {
      /** |N(mean, deviation)|. */
      readonly kind: "folded-normal";
      readonly mean: number;
      readonly deviation: number;
    };

/** Which features fire together, by a Gaussian copula: a feature fires where its normal variable is above the quantile of its probability. */
export type Correlation =
  | {
      /** The variables share `rank` factors, with loadings N(0, scale^2), scaled down where a feature's would explain more than 0.99 of it. */
      readonly kind: "low-rank";
      readonly rank: number;
      readonly scale: number;
    }
  | {
      /** The correlation of some pairs of variables, `[i, j, correlation]`, and that of all others, 0 by default. */
      readonly kind: "pairs";
      readonly pairs: readonly (readonly [number, number, number])[];
      readonly others?: number | undefined;
    };

/** A feature with those that fire only where it does. */
export interface FeatureTree {
  readonly feature: number;
  readonly children?: readonly FeatureTree[] | undefined;
  /** Whether at most one child fires: of several a random one stays. */
  readonly exclusive?: boolean | undefined;
}

/** Which features depend on which. */
export interface FeatureHierarchy {
  /** Trees by hand. */
  readonly trees?: readonly FeatureTree[] | undefined;
  /** Or a forest over the first features, level by level: this many roots, ... */
  readonly roots?: number | undefined;
  /** ... children of each node, ... */
  readonly branching?: number | undefined;
  /** ... and levels below the roots. */
  readonly depth?: number | undefined;
  /** Share of the parents whose children exclude each other; 0 by default. */
  readonly exclusiveShare?: number | undefined;
  /**
   * Raises children's probabilities by 1 / p(parent), and by what exclusion takes, so that each feature fires about as often as
   * `firing` says; false by default.
   */
  readonly compensate?: boolean | undefined;
  /** Multiplies a child's magnitude with its parent's over the parent's mean; false by default. */
  readonly scaleByParent?: boolean | undefined;
}

/** A synthetic world: what its features are, when they fire, and how strongly. */
export interface SyntheticWorldConfig {
  readonly features: number;
  /** Width of the activations. */
  readonly dIn: number;
  /** Of everything: directions, loadings, trees and samples. */
  readonly seed: number;
  /** Probability of firing. */
  readonly firing: PerFeature;
  /** Mean magnitude of a feature that fires; 1 by default. */
  readonly magnitude: PerFeature;
  /** Standard deviation of the magnitude, which is cut at 0; 0 by default. */
  readonly deviation: PerFeature;
  /** null, the default, for features that fire independently. */
  readonly correlation: Correlation | null;
  readonly hierarchy: FeatureHierarchy | null;
  /**
   * `"random"`, the default, for unit Gaussian directions; `"orthogonalised"` moves them apart by 200 Adam steps on their products, as
   * SAELens does by default: for some hundred features.
   */
  readonly directions: "orthogonalised" | "random";
  /** Norm of a random vector added to every activation; 0 by default. */
  readonly biasNorm: number;
}

/** {@link SyntheticWorldConfig} as callers write it. */
export type SyntheticWorldInput = Pick<SyntheticWorldConfig, "dIn" | "features" | "firing"> &
  Partial<SyntheticWorldConfig>;

const finite = z.number();
const perFeature: z.ZodType<PerFeature> = z.union([
  finite,
  z.array(finite),
  z.object({ kind: z.enum(["linear", "exponential"]), start: finite, end: finite }),
  z.object({
    kind: z.literal("zipf"),
    exponent: z.number().positive(),
    start: finite,
    end: finite,
  }),
  z.object({ kind: z.literal("uniform"), from: finite, to: finite }),
  z.object({ kind: z.literal("folded-normal"), mean: finite, deviation: z.number().nonnegative() }),
]);
const tree: z.ZodType<FeatureTree> = z.lazy(() =>
  z.object({
    feature: z.int().nonnegative(),
    children: z.array(tree).optional(),
    exclusive: z.boolean().optional(),
  }),
);
const schema: z.ZodType<SyntheticWorldConfig> = z.object({
  features: z.int().positive(),
  dIn: z.int().positive(),
  seed: z.int().nonnegative().default(0),
  firing: perFeature,
  magnitude: perFeature.default(1),
  deviation: perFeature.default(0),
  correlation: z
    .discriminatedUnion("kind", [
      z.object({
        kind: z.literal("low-rank"),
        rank: z.int().positive(),
        scale: z.number().nonnegative(),
      }),
      z.object({
        kind: z.literal("pairs"),
        pairs: z.array(
          z.tuple([z.int().nonnegative(), z.int().nonnegative(), z.number().min(-1).max(1)]),
        ),
        others: z.number().min(-1).max(1).optional(),
      }),
    ])
    .nullable()
    .default(null),
  hierarchy: z
    .object({
      trees: z.array(tree).optional(),
      roots: z.int().positive().optional(),
      branching: z.int().min(1).optional(),
      depth: z.int().positive().optional(),
      exclusiveShare: z.number().min(0).max(1).optional(),
      compensate: z.boolean().optional(),
      scaleByParent: z.boolean().optional(),
    })
    .nullable()
    .default(null),
  directions: z.enum(["random", "orthogonalised"]).default("random"),
  biasNorm: z.number().nonnegative().default(0),
});

/** Parses a world's configuration. Throws `ConfigError` `SYNTHETIC_CONFIG` that names the field. */
export function parseSyntheticWorld(config: unknown): SyntheticWorldConfig {
  const parsed = schema.safeParse(config);
  if (!parsed.success) throw syntheticError(describeIssues(parsed.error));
  const { data } = parsed;
  const { hierarchy } = data;
  if (hierarchy !== null && (hierarchy.trees === undefined) === (hierarchy.roots === undefined))
    throw syntheticError("hierarchy: give either trees or roots, branching and depth");
  return data;
}

/** The error of a configuration that cannot be. */
export function syntheticError(what: string): ConfigError {
  return new ConfigError({
    code: "SYNTHETIC_CONFIG",
    message: `this is not a synthetic world: ${what}`,
    fix: "correct the fields named above",
  });
}
