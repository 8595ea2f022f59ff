import { ConfigError } from "@latentkit/core";
import { readJson } from "@latentkit/loaders/node";
import { parseTrainConfig, recipe, recipeNames, type TrainConfig } from "@latentkit/sae";
import { dirname, resolve } from "node:path";
import { z } from "zod";

const count = z.int().positive();
const seed = z.int().nonnegative().max(0xffff_ffff);
/** One value, or one for each of several SAEs. */
const oneOrMore = <Schema extends z.ZodType>(item: Schema) =>
  z.union([item.transform((value) => [value]), z.array(item).min(1)]);
const fileName = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]*$/u, "expected letters, digits, dots, dashes and underscores");

const entrySchema = z.strictObject({
  /** In place of a name made of the settings; only for entries that are one SAE a site. */
  name: fileName.optional(),
  recipe: z.enum(recipeNames),
  /** Latents. */
  width: count,
  sparsity: oneOrMore(z.number().positive()).optional(),
  k: oneOrMore(z.number().positive()).optional(),
  /** Activations presented, repeats counted; each recipe has a default. */
  presentations: count.optional(),
  batchSize: count.optional(),
  seed: oneOrMore(seed).optional(),
  /** Only these of the file's sites. */
  sites: z.array(z.string().min(1)).min(1).optional(),
  /** Fields of the training configuration in place of the recipe's; the recipe is then called custom. */
  overrides: z.looseObject({}).optional(),
});

const commonFields = {
  schemaVersion: z.literal(1).default(1),
  saes: z.array(entrySchema).min(1),
  seed: seed.optional(),
  /** Held-out activations on which training is followed. */
  heldOutRows: count.default(20_000),
};

const shardsSchema = z.strictObject({
  ...commonFields,
  /** Folders that `latentkit harvest` made, one a site. */
  shards: z.array(z.string().min(1)).min(1),
});

const textSchema = z.strictObject({
  ...commonFields,
  model: z.string().min(1),
  text: z.array(z.string().min(1)).min(1),
  sites: z.array(z.string().min(1)).min(1),
  /** `"shards"` harvests all sites first, in one run of the model; `"live"` runs it while training and stores nothing. */
  source: z.enum(["live", "shards"]).default("shards"),
  contextSize: z.int().min(2).optional(),
  prependBos: z.boolean().default(false),
  heldOut: z.number().gt(0).lt(1).default(0.1),
  /** Contexts in a run of the model. */
  contextsPerRun: count.default(8),
  /** Tokens of text at most; only for `"shards"`, since a live run reads as far as it trains. */
  maxTokens: count.nullable().default(null),
  /** Tokens that a live run mixes at a time. */
  bufferTokens: count.default(65_536),
});

/** Where activations come from. */
export type SaeTrainSource =
  | { readonly kind: "shards"; readonly folders: readonly string[] }
  | ({ readonly kind: "text" } & Omit<z.infer<typeof textSchema>, keyof typeof commonFields>);

/** An SAE to train at one site. */
export interface WantedSae {
  /** Unique at its site. */
  readonly name: string;
  readonly seed: number;
  /** The file's sites that it is for; null for all. */
  readonly sites: readonly string[] | null;
  readonly config: TrainConfig;
}

/** A file for `latentkit sae train`, with paths resolved from where it lies and everything decided. */
export interface SaeTrainConfig {
  readonly source: SaeTrainSource;
  readonly saes: readonly WantedSae[];
  readonly seed: number;
  readonly heldOutRows: number;
}

/**
 * Reads and checks a configuration.
 *
 * @param flags what was given on the command line: the seed stands for SAEs and splits that name none
 * @throws ConfigError `SAE_TRAIN_INVALID`, naming every field that does not fit; `SAE_TRAIN_NAMES`; and what recipes throw
 */
export async function readSaeTrainConfig(
  path: string,
  flags: { readonly seed: number },
): Promise<SaeTrainConfig> {
  const file = parseFile(await readJson(path, z.unknown()), path);
  const base = file.seed ?? flags.seed;
  const saes = file.saes.flatMap((entry) => wantedOf(entry, base));
  checkNames(saes, path);
  const at = (name: string): string => resolve(dirname(path), name);
  const { saes: _, seed: __, schemaVersion: ___, heldOutRows, ...rest } = file;
  const source: SaeTrainSource =
    "shards" in rest
      ? { kind: "shards", folders: rest.shards.map(at) }
      : { kind: "text", ...rest, text: rest.text.map(at) };
  return { source, saes, seed: base, heldOutRows };
}

type SaeTrainFile = z.infer<typeof shardsSchema> | z.infer<typeof textSchema>;

function parseFile(json: unknown, where: string): SaeTrainFile {
  const isShards = z.looseObject({ shards: z.unknown().refine((value) => value !== undefined) });
  const schema = isShards.safeParse(json).success ? shardsSchema : textSchema;
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(
    ({ path, message }) => `${path.join(".") || "(whole)"}: ${message}`,
  );
  throw new ConfigError({
    code: "SAE_TRAIN_INVALID",
    message: `this is not a configuration of trainings: ${issues.join("; ")}`,
    fix: 'correct the fields named above; give "shards", or "model", "text" and "sites"',
    where,
  });
}

/** The SAEs of an entry: one for each sparsity, k and seed. */
function wantedOf(entry: z.infer<typeof entrySchema>, base: number): WantedSae[] {
  const { width, presentations, batchSize, overrides, sites = null } = entry;
  const seeds = entry.seed ?? [base];
  const variants = (entry.sparsity ?? [null]).flatMap((sparsity) =>
    (entry.k ?? [null]).flatMap((k) => seeds.map((own) => ({ sparsity, k, seed: own }))),
  );
  return variants.map((variant) => {
    const { sparsity, k, seed: own } = variant;
    const made = recipe(entry.recipe, {
      dSae: width,
      seed: own,
      ...(presentations === undefined ? {} : { tokens: presentations }),
      ...(batchSize === undefined ? {} : { batchSize }),
      ...(sparsity === null ? {} : { sparsity }),
      ...(k === null ? {} : { k }),
    });
    const parts = [
      entry.recipe,
      `width_${width}`,
      ...(sparsity === null ? [] : [`sparsity_${sparsity}`]),
      ...(k === null ? [] : [`k_${k}`]),
      `seed_${own}`,
    ];
    const config =
      overrides === undefined
        ? made
        : parseTrainConfig({ ...made, recipe: "custom", ...overrides });
    return { name: entry.name ?? parts.join("-"), seed: own, sites, config };
  });
}

function checkNames(saes: readonly WantedSae[], where: string): void {
  const names = saes.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  throw new ConfigError({
    code: "SAE_TRAIN_NAMES",
    message: `two SAEs would have the name "${twice}"`,
    fix: 'remove one of them, or give the entries a "name" each',
    where,
  });
}
