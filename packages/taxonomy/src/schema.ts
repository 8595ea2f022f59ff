import { FormatError } from "@latentkit/core";
import { z } from "zod";
import type { AtlasResult } from "./atlas-result.ts";

const share = z.object({ passed: z.int().nonnegative(), tested: z.int().nonnegative() });
const numbers = z.array(z.number());
const tokenScore = z.object({ id: z.int(), text: z.string(), score: z.number() });

const contextWindow = z.object({
  kind: z.enum(["top", "sample"]),
  quantile: z.number().nullable(),
  document: z.string(),
  position: z.int(),
  peak: z.int(),
  texts: z.array(z.string()),
  activations: numbers,
});

const latentEntry = z.object({
  latent: z.int(),
  density: z.number(),
  low: z.number(),
  high: z.number(),
  maximum: z.number(),
  meanWhenActive: z.number(),
  score: z.number(),
  partner: z.int().nullable(),
  encoderCosine: z.number(),
  decoderCosine: z.number(),
  mutual: z.boolean(),
  negativeScore: z.number(),
  coFiring: z.number().nullable(),
  coFiringExpected: z.number().nullable(),
  labels: z.array(z.string()),
  primary: z.string().nullable(),
  tests: z.object({
    pca: z.object({ cosine: z.number(), passes: z.boolean() }),
    nullspace: z.object({ share: z.number(), passes: z.boolean() }),
    alphabet: z.object({
      letter: z.string(),
      side: z.enum(["promoted", "suppressed"]),
      purity: z.number(),
      k: z.int(),
      baseRate: z.number(),
      passes: z.boolean(),
    }),
  }),
  promoted: z.array(tokenScore),
  suppressed: z.array(tokenScore),
  contexts: z.array(contextWindow),
});

const nullDistribution = z.object({ mean: z.number(), median: z.number(), high: z.number() });
const schema = z.object({
  kind: z.literal("latentkit.atlas"),
  schemaVersion: z.literal(1),
  createdAt: z.string(),
  command: z.string().nullable(),
  versions: z.record(z.string(), z.string()),
  seed: z.int(),
  config: z.record(z.string(), z.union([z.number(), z.string(), z.boolean(), z.null()])),
  model: z.object({
    name: z.string(),
    architecture: z.string(),
    weightsHash: z.string(),
    layers: z.int(),
    dModel: z.int(),
    vocabulary: z.int(),
  }),
  site: z.object({ name: z.string(), layer: z.int().nullable() }),
  sae: z.object({
    identity: z.string(),
    architecture: z.string(),
    dIn: z.int(),
    dSae: z.int(),
    k: z.int().nullable(),
    recipe: z.string().nullable(),
  }),
  corpus: z.object({
    name: z.string(),
    split: z.string(),
    documents: z.int(),
    contexts: z.int(),
    tokens: z.int(),
    masked: z.record(z.string(), z.int()),
    contextSize: z.int(),
    prependBos: z.boolean(),
    hash: z.string(),
  }),
  metrics: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      value: z.number(),
      low: z.number().nullable(),
      high: z.number().nullable(),
      unit: z.string(),
      note: z.string(),
    }),
  ),
  training: z
    .object({
      recipe: z.string(),
      uniqueTokens: z.number(),
      presentations: z.number(),
      points: z.array(
        z.object({
          presentations: z.number(),
          l0: z.number(),
          fvu: z.number(),
          denseCount: z.number(),
        }),
      ),
    })
    .nullable(),
  labelling: z.object({ status: z.enum(["given", "withheld", "unverified"]), reason: z.string() }),
  density: z.object({
    threshold: z.number(),
    dense: z.int(),
    dead: z.int(),
    histogram: z.array(z.object({ low: z.number(), high: z.number(), count: z.int() })),
  }),
  antipodality: z.object({
    strong: z.number(),
    independentNull: nullDistribution,
    tiedNull: nullDistribution,
    strongDense: z.int(),
    strongPairs: z.int(),
    byDensity: z.array(
      z.object({ low: z.number(), high: z.number(), latents: z.int(), median: z.number() }),
    ),
    points: z.array(
      z.object({ latent: z.int(), density: z.number(), score: z.number(), dense: z.boolean() }),
    ),
    heatMap: z.object({ latents: z.array(z.int()), cosines: z.array(numbers) }),
  }),
  pca: z.object({ cut: z.number(), explained: numbers }),
  nullspace: z.object({
    k: z.int(),
    quantile: z.number(),
    cut: z.number(),
    singularValues: numbers,
    histogram: z.array(
      z.object({
        low: z.number(),
        high: z.number(),
        dense: z.int(),
        sparse: z.int(),
        expected: z.number(),
      }),
    ),
  }),
  alphabet: z.object({
    purity: z.number(),
    maximumTokens: z.int(),
    baseRates: z.array(z.object({ letter: z.string(), tokens: z.int(), rate: z.number() })),
  }),
  classes: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      test: z.string(),
      dense: share,
      pairs: z.int(),
      sparse: share,
      random: share,
    }),
  ),
  latents: z.array(latentEntry),
  omitted: z.int(),
});

/** Schema of {@link AtlasResult}, version 1. */
export const atlasResultSchema: z.ZodType<AtlasResult> = schema;

/**
 * Reads a result file's JSON.
 *
 * @param where file name for messages
 * @throws FormatError `ATLAS_RESULT` naming the first field that does not fit
 */
export function parseAtlasResult(value: unknown, where?: string): AtlasResult {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  throw new FormatError({
    code: "ATLAS_RESULT",
    message:
      `not an atlas result of schema version 1: ${first?.path.join(".") ?? ""} ${first?.message ?? ""}`.trim(),
    fix: "give the result.json of a latentkit atlas run",
    where,
    cause: parsed.error,
  });
}
