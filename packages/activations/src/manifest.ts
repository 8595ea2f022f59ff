import { z } from "zod";
import type { MaskPolicy } from "./mask.ts";
import type { PackingPolicy } from "./packing.ts";
import type { Split, SplitPolicy } from "./split.ts";

/** How activations are stored. Everything is computed in f32. */
export type ActivationDType = "f32" | "f16" | "bf16";

/** How many contexts and tokens there are, and what the mask says of them. `tokens` is `kept` plus the masked but stored ones. */
export interface TokenCounts {
  readonly contexts: number;
  /** Tokens stored: BOS tokens are, padding is not. */
  readonly tokens: number;
  /** Tokens that training and metrics use. */
  readonly kept: number;
  readonly masked: {
    readonly firstPosition: number;
    /** Positions of padding. They were computed and are not stored. */
    readonly padding: number;
    readonly normOutlier: number;
  };
}

/** One shard file. It holds whole contexts of one split. */
export interface ShardRecord extends TokenCounts {
  readonly file: string;
  readonly split: Split;
  readonly bytes: number;
  /** Of the file's bytes. */
  readonly sha256: string;
  /** Of all documents up to the one that the shard ends in: a resumed harvest must be given the same text again. */
  readonly inputSha256: string;
}

/** Everything that the bytes of shards depend on, apart from the text and the machine. */
export interface HarvestConfig {
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly weightsHash: string;
  };
  readonly site: string;
  /** Width of an activation. */
  readonly dIn: number;
  readonly tokenizer: { readonly identity: string; readonly vocabularySize: number };
  readonly dtype: ActivationDType;
  readonly packing: PackingPolicy;
  readonly mask: MaskPolicy & {
    /** Contexts, the first ones of the text, whose tokens give the median norm. */
    readonly calibrationContexts: number;
  };
  readonly split: SplitPolicy;
  /** Contexts in a run of the model. Part of the config because matrix products may round by their shape. */
  readonly batchSize: number;
  readonly contextsPerShard: number;
  /** No context is taken that would bring more than this many tokens; null for all of the text. */
  readonly maximumTokens: number | null;
}

/** What the bytes also depend on, but no reader of shards has to know. */
export interface Provenance {
  readonly backend: {
    readonly name: string;
    readonly matmul: string;
    readonly threads: number;
    readonly build: string;
  };
  /** Versions of the packages that wrote the shards. */
  readonly versions: Readonly<Record<string, string>>;
}

/** `manifest.json`: what a folder of activation shards is. It is written last, so that a folder with one is complete. */
export interface Manifest extends HarvestConfig, Provenance {
  readonly schemaVersion: 1;
  readonly kind: "activations";
  readonly mask: HarvestConfig["mask"] & { readonly medianNorm: number };
  /** Names of the roles that shards store as 1, 2, ...; 0 is no role. */
  readonly roles: readonly string[];
  readonly documents: {
    /** JSON lines, one a document in order: `{ "index", "id", "split", "tokens", "contexts" }`. */
    readonly file: string;
    readonly sha256: string;
    readonly count: number;
    /** Documents that gave no context: empty, or shorter than `minimumTokens`. */
    readonly empty: number;
    /** Tokens at ends of documents that are in no context: too few for one, or beyond `documentTokens`. */
    readonly droppedTokens: number;
    /** Of all documents' ids and contents. */
    readonly inputSha256: string;
    /** Whether the text ended before `maximumTokens` did. */
    readonly exhausted: boolean;
  };
  readonly counts: TokenCounts & { readonly splits: Readonly<Record<Split, TokenCounts>> };
  readonly shards: readonly ShardRecord[];
}

/** What a harvest has finished so far: `journal.json`, which {@link Manifest} replaces at the end. */
export interface Journal {
  readonly schemaVersion: 1;
  readonly kind: "activations-journal";
  readonly config: HarvestConfig;
  readonly provenance: Provenance;
  readonly medianNorm: number;
  readonly shards: readonly ShardRecord[];
}

const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/u, "expected 64 hexadecimal digits");
/** A name inside the folder; anything with a separator could reach outside it. */
const fileName = z
  .string()
  .regex(/^[\w.-]+$/u, "expected a plain file name")
  .refine((name) => !name.startsWith("."));
const split = z.enum(["train", "held-out"]);

const countFields = {
  contexts: count,
  tokens: count,
  kept: count,
  masked: z.object({ firstPosition: count, padding: count, normOutlier: count }),
};

const shardRecord = z.object({
  file: fileName,
  split,
  bytes: count,
  sha256,
  inputSha256: sha256,
  ...countFields,
});

const maskFields = {
  maskFirstPosition: z.boolean(),
  maximumNormRatio: z.number().nullable(),
  calibrationContexts: z.number().int().positive(),
};

const configFields = {
  model: z.object({ name: z.string(), architecture: z.string(), weightsHash: z.string() }),
  site: z.string(),
  dIn: z.number().int().positive(),
  tokenizer: z.object({ identity: z.string(), vocabularySize: count }),
  dtype: z.enum(["f32", "f16", "bf16"]),
  packing: z.object({
    packing: z.literal("documents"),
    contextSize: z.number().int().positive(),
    prependBos: z.boolean(),
    minimumTokens: z.number().int().positive(),
    documentTokens: z.number().int().positive().nullable(),
  }),
  mask: z.object(maskFields),
  split: z.object({ heldOut: z.number(), seed: z.number().int() }),
  batchSize: z.number().int().positive(),
  contextsPerShard: z.number().int().positive(),
  maximumTokens: z.number().int().positive().nullable(),
};

const provenanceFields = {
  backend: z.object({
    name: z.string(),
    matmul: z.string(),
    threads: z.number(),
    build: z.string(),
  }),
  versions: z.record(z.string(), z.string()),
};

/** Parses `manifest.json`. Unknown fields are dropped, so that a later minor version may add some. */
export const manifestSchema: z.ZodType<Manifest> = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal("activations"),
  ...configFields,
  mask: z.object({ ...maskFields, medianNorm: z.number().nonnegative() }),
  roles: z.array(z.string()),
  documents: z.object({
    file: fileName,
    sha256,
    count,
    empty: count,
    droppedTokens: count,
    inputSha256: sha256,
    exhausted: z.boolean(),
  }),
  counts: z.object({
    ...countFields,
    splits: z.object({ train: z.object(countFields), "held-out": z.object(countFields) }),
  }),
  shards: z.array(shardRecord),
  ...provenanceFields,
});

/** Parses `journal.json`. */
export const journalSchema: z.ZodType<Journal> = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal("activations-journal"),
  config: z.object(configFields),
  provenance: z.object(provenanceFields),
  medianNorm: z.number().nonnegative(),
  shards: z.array(shardRecord),
});

/** Sums counts. */
export function addCounts(all: Iterable<TokenCounts>): TokenCounts {
  const sum = {
    contexts: 0,
    tokens: 0,
    kept: 0,
    masked: { firstPosition: 0, padding: 0, normOutlier: 0 },
  };
  for (const each of all) {
    sum.contexts += each.contexts;
    sum.tokens += each.tokens;
    sum.kept += each.kept;
    sum.masked.firstPosition += each.masked.firstPosition;
    sum.masked.padding += each.masked.padding;
    sum.masked.normOutlier += each.masked.normOutlier;
  }
  return sum;
}
