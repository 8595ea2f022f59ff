import { ConfigError } from "@latentkit/core";
import { type RecipeName, recipeNames } from "@latentkit/sae";
import { z } from "zod";
import { type SuiteSite, suiteSites } from "./sites.ts";

/** SAEs that differ in sparsity alone, at each site and layer that the entry covers. */
export interface SuiteEntry {
  /** A recipe of `@latentkit/sae`. */
  readonly recipe: RecipeName;
  /** Latents. */
  readonly width: number;
  /** lambda of each SAE, for the recipes that have one. */
  readonly sparsity?: readonly number[] | undefined;
  /** k of each SAE, for `"topk"` and its kin. */
  readonly k?: readonly number[] | undefined;
  /** Activations that each SAE is trained on, repeats counted. */
  readonly presentations: number;
  /** Activations in a training step; the recipe's own by default. */
  readonly batchSize?: number | undefined;
  readonly seed: number;
  /** Only these of the suite's sites. */
  readonly sites?: readonly SuiteSite[] | undefined;
  /** Only these of the suite's layers. */
  readonly layers?: readonly number[] | undefined;
}

/** Generated text of `@latentkit/worlds`, or files. */
export type SuiteText =
  | {
      readonly worlds: {
        readonly seed: number;
        readonly stage: "base" | "instruct";
        /** A `.jsonl` file of prose for the mixture. */
        readonly prose?: string | undefined;
        /** Tokens to take of the endless stream. */
        readonly tokens: number;
      };
    }
  | { readonly files: readonly string[] };

/** What a suite is: which SAEs, trained and measured on which activations. Plain JSON. */
export interface Suite {
  readonly schemaVersion: 1;
  /** Start of the releases' folder names: `NAME-res`, `NAME-mlp`, `NAME-att`. */
  readonly name: string;
  /** The model's path, for callers that open one; the suite itself is the same for any model. */
  readonly model?: string | undefined;
  readonly text: SuiteText;
  /** Tokens in a context, BOS included. */
  readonly contextSize: number;
  /** Whether each context starts with the tokenizer's BOS token. */
  readonly prependBos: boolean;
  /** Tokens of text at most; null for all. */
  readonly maxTokens: number | null;
  /** Share of documents that training never sees, and that everything is measured on. */
  readonly heldOut: number;
  /** Decides which documents are held out, and the bootstrap of intervals. */
  readonly seed: number;
  /** Contexts in a run of the model. */
  readonly batchSize: number;
  readonly sites: readonly SuiteSite[];
  readonly layers: "all" | readonly number[];
  readonly entries: readonly SuiteEntry[];
  /** Held-out contexts on which the language model's loss is measured. */
  readonly spliceContexts: number;
  /** Whether a layer's activations stay on disk after its SAEs are done. */
  readonly keepActivations: boolean;
  /**
   * Gigabytes of activations on disk at a time: as many places as fit are harvested from one run of the model over the text. Where the
   * text's length is not known, one place at a time is. It changes no result.
   */
  readonly activationGigabytes: number;
}

const count = z.int().positive();
const seed = z.int().nonnegative().max(0xffff_ffff);
const site = z.enum(suiteSites);
const distinct = (items: readonly unknown[]): boolean => new Set(items).size === items.length;
const list = <Schema extends z.ZodType>(item: Schema): z.ZodArray<Schema> =>
  z.array(item).min(1).refine(distinct, "each may be named once");

/** Recipes whose sparsity is a number of latents; those of the others is a weight. */
const kRecipes: ReadonlySet<string> = new Set([
  "abstopk",
  "batchtopk",
  "matryoshka_batchtopk",
  "topk",
]);

/** Recipes of what is not an SAE of one site, or has no one number for its sparsity. */
const otherRecipes: ReadonlySet<string> = new Set([
  "batchtopk_crosscoder",
  "crosscoder",
  "matching_pursuit",
]);

const entrySchema = z
  .strictObject({
    recipe: z
      .enum(recipeNames)
      .refine((name) => !otherRecipes.has(name), "expected a recipe for SAEs of one site"),
    width: count,
    sparsity: list(z.number().positive()).optional(),
    k: list(count).optional(),
    presentations: count,
    batchSize: count.optional(),
    seed: seed.default(0),
    sites: list(site).optional(),
    layers: list(z.int().nonnegative()).optional(),
  })
  .superRefine((entry, context) => {
    const complain = (path: string, message: string): void =>
      context.addIssue({ code: "custom", path: [path], message });
    const [needed, other] = kRecipes.has(entry.recipe)
      ? (["k", "sparsity"] as const)
      : (["sparsity", "k"] as const);
    if (entry[needed] === undefined)
      complain(needed, `the recipe "${entry.recipe}" needs a list of ${needed}`);
    if (entry[other] !== undefined)
      complain(other, `the recipe "${entry.recipe}" takes ${needed}, not ${other}`);
    const tooLarge = entry.k?.find((k) => k > entry.width);
    if (tooLarge !== undefined)
      complain("k", `${tooLarge} is more than the ${entry.width} latents there are`);
  });

const textSchema = z.union([
  z.strictObject({
    worlds: z.strictObject({
      seed,
      stage: z.enum(["base", "instruct"]),
      prose: z.string().min(1).optional(),
      tokens: count,
    }),
  }),
  z.strictObject({ files: list(z.string().min(1)) }),
]);

/** Schema of a suite file; defaults are filled in. Unknown fields are refused, since a misspelt one would change nothing unseen. */
export const suiteSchema: z.ZodType<Suite> = z
  .strictObject({
    schemaVersion: z.literal(1),
    name: z
      .string()
      .regex(/^[A-Za-z0-9][\w.-]*$/u, "expected letters, digits, dots, dashes and underscores"),
    model: z.string().min(1).optional(),
    text: textSchema,
    contextSize: z.int().min(2).default(128),
    prependBos: z.boolean().default(false),
    maxTokens: count.nullable().default(null),
    heldOut: z.number().gt(0).lt(1).default(0.1),
    seed: seed.default(0),
    batchSize: count.default(8),
    sites: list(site),
    layers: z.union([z.literal("all"), list(z.int().nonnegative())]).default("all"),
    entries: z.array(entrySchema).min(1),
    spliceContexts: count.default(64),
    keepActivations: z.boolean().default(false),
    activationGigabytes: z.number().positive().default(16),
  })
  .superRefine((suite, context) => {
    for (const [index, entry] of suite.entries.entries()) {
      for (const name of ["sites", "layers"] as const) {
        const given = suite[name];
        if (given === "all") continue;
        const known: readonly (number | string)[] = given;
        const stray = entry[name]?.find((item) => !known.includes(item));
        if (stray !== undefined) {
          context.addIssue({
            code: "custom",
            path: ["entries", index, name],
            message: `${stray} is not one of the suite's ${name}`,
          });
        }
      }
    }
  });

/**
 * Parses a suite.
 *
 * @param where the file's name, for messages
 * @throws ConfigError `SUITE_INVALID`, naming every field that does not fit
 *
 * @example
 * const suite = parseSuite(JSON.parse(text), "suite.json");
 */
export function parseSuite(json: unknown, where?: string): Suite {
  const parsed = suiteSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(
    ({ path, message }) => `${path.join(".") || "(whole)"}: ${message}`,
  );
  throw new ConfigError({
    code: "SUITE_INVALID",
    message: `this is not a suite: ${issues.join("; ")}`,
    fix: "correct the fields named above",
    where,
  });
}

/** Tokens of text that the suite takes at most: `maxTokens` or those of the worlds, whichever are fewer; null for all. */
export function tokenLimit({ text, maxTokens }: Suite): number | null {
  const limits = ["worlds" in text ? text.worlds.tokens : null, maxTokens].filter(
    (limit) => limit !== null,
  );
  return limits.length === 0 ? null : Math.min(...limits);
}
