import { ConfigError } from "@latentkit/core";
import { type RecipeName, recipeNames } from "@latentkit/sae";
import { z } from "zod";
import { type SuiteSite, suiteSites } from "../sites.ts";

/** An architecture of a comparison, at all of its sparsities. */
export interface ComparedArchitecture {
  /** What tables and folders call it, for example `"JumpReLU"`. */
  readonly name: string;
  readonly recipe: RecipeName;
  /** lambda of each SAE, for recipes that have one. */
  readonly sparsity?: readonly number[] | undefined;
  /** k of each SAE, for `"topk"` and its kin. */
  readonly k?: readonly number[] | undefined;
}

/** How learning rates are chosen: every architecture has the same trials. */
export interface ComparisonTuning {
  /** None of the comparison's own. */
  readonly seeds: readonly number[];
  /** Learning rates to try, as multiples of the recipe's own. */
  readonly factors: readonly number[];
  /** The L0 at which their FVU is compared. */
  readonly l0: number;
  /** How many of each architecture's sparsities are tried, spread evenly over them, the first and the last included. */
  readonly sparsities: number;
}

/** What is compared: architectures of SAEs of one site, on the same activations in the same order. Plain JSON. */
export interface Comparison {
  readonly schemaVersion: 1;
  readonly name: string;
  /** The model's path, for callers that open one. */
  readonly model?: string | undefined;
  readonly text: { readonly files: readonly string[] };
  /** Tokens in a context, BOS included. */
  readonly contextSize: number;
  readonly prependBos: boolean;
  /** Tokens of text at most; null for all. */
  readonly maxTokens: number | null;
  /** Share of documents that training never sees, and that everything is measured on. */
  readonly heldOut: number;
  /** Decides which documents these are, and draws of bootstrap and null. */
  readonly seed: number;
  /** Contexts in a run of the model. */
  readonly contextsPerRun: number;
  readonly site: SuiteSite;
  readonly layer: number;
  /** Latents of every SAE. */
  readonly width: number;
  /** Activations that every SAE is trained on, repeats counted. */
  readonly presentations: number;
  /** Activations in a training step, for every architecture, so that all take as many steps. */
  readonly batchSize: number;
  readonly architectures: readonly ComparedArchitecture[];
  /** The architecture that is compared with each of the others. */
  readonly subject: string;
  /** Of initialisation and of the order of the activations; SAEs of one seed are a pair. */
  readonly seeds: readonly number[];
  readonly tuning: ComparisonTuning;
  /** L0s at which two architectures are compared, spread over what both reach. */
  readonly levels: number;
  /** Held-out contexts on which the language model's loss is measured. */
  readonly spliceContexts: number;
}

const count = z.int().positive();
const seed = z.int().nonnegative().max(0xffff_ffff);
const distinct = (items: readonly unknown[]): boolean => new Set(items).size === items.length;
const list = <Schema extends z.ZodType>(item: Schema, least = 1): z.ZodArray<Schema> =>
  z.array(item).min(least).refine(distinct, "each may be named once");
const name = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]*$/u, "expected letters, digits, dots, dashes and underscores");

const kRecipes: ReadonlySet<string> = new Set(["abstopk", "batchtopk", "topk"]);
/** Recipes with one lambda and no further option. */
const lambdaRecipes: ReadonlySet<string> = new Set([
  "april-2024",
  "gated",
  "gemma-scope",
  "p_anneal",
  "short-run",
  "standard",
]);

const architectureSchema = z
  .strictObject({
    name,
    recipe: z
      .enum(recipeNames)
      .refine(
        (given) => kRecipes.has(given) || lambdaRecipes.has(given),
        `expected one of ${[...kRecipes, ...lambdaRecipes].join(", ")}`,
      ),
    sparsity: list(z.number().positive(), 2).optional(),
    k: list(count, 2).optional(),
  })
  .superRefine((given, context) => {
    const [needed, other] = kRecipes.has(given.recipe)
      ? (["k", "sparsity"] as const)
      : (["sparsity", "k"] as const);
    const complain = (path: string, message: string): void =>
      context.addIssue({ code: "custom", path: [path], message });
    if (given[needed] === undefined)
      complain(needed, `the recipe "${given.recipe}" needs a list of ${needed}`);
    if (given[other] !== undefined)
      complain(other, `the recipe "${given.recipe}" takes ${needed}, not ${other}`);
  });

/** Schema of {@link Comparison}; defaults are filled in, unknown fields refused. */
export const comparisonSchema: z.ZodType<Comparison> = z
  .strictObject({
    schemaVersion: z.literal(1),
    name,
    model: z.string().min(1).optional(),
    text: z.strictObject({ files: list(z.string().min(1)) }),
    contextSize: z.int().min(2).default(128),
    prependBos: z.boolean().default(false),
    maxTokens: count.nullable().default(null),
    heldOut: z.number().gt(0).lt(1).default(0.1),
    seed: seed.default(0),
    contextsPerRun: count.default(8),
    site: z.enum(suiteSites).default("res"),
    layer: z.int().nonnegative(),
    width: count,
    presentations: count,
    batchSize: count.default(1024),
    architectures: z.array(architectureSchema).min(2),
    subject: name,
    seeds: list(seed),
    tuning: z.strictObject({
      seeds: list(seed),
      factors: list(z.number().positive()),
      l0: z.number().positive(),
      sparsities: z.int().min(2).default(2),
    }),
    levels: z.int().min(2).default(5),
    spliceContexts: count.default(64),
  })
  .superRefine(({ architectures, subject, seeds, tuning, width }, context) => {
    const complain = (path: (number | string)[], message: string): void =>
      context.addIssue({ code: "custom", path, message });
    const names = architectures.map((architecture) => architecture.name);
    if (!distinct(names)) complain(["architectures"], "each needs a name of its own");
    if (!names.includes(subject))
      complain(["subject"], `${subject} is not one of ${names.join(", ")}`);
    const shared = tuning.seeds.find((one) => seeds.includes(one));
    if (shared !== undefined)
      complain(["tuning", "seeds"], `${shared} is a seed of the comparison: tune on others`);
    for (const [index, { k = [] }] of architectures.entries()) {
      const wide = k.find((one) => one > width);
      if (wide !== undefined)
        complain(["architectures", index, "k"], `${wide} is more than the ${width} latents`);
    }
  });

/**
 * Parses a comparison.
 *
 * @param where the file's name, for messages
 * @throws ConfigError `COMPARISON_INVALID`, naming every field that does not fit
 */
export function parseComparison(json: unknown, where?: string): Comparison {
  const parsed = comparisonSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(
    ({ path, message }) => `${path.join(".") || "(whole)"}: ${message}`,
  );
  throw new ConfigError({
    code: "COMPARISON_INVALID",
    message: `this is not a comparison: ${issues.join("; ")}`,
    fix: "correct the fields named above",
    where,
  });
}
