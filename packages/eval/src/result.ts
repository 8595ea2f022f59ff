import { z } from "zod";

const interval = z.tuple([z.number(), z.number()]).readonly();

const checkSchema = z.object({
  /** What was measured, for example `facts/known/choice`. */
  name: z.string(),
  /** Questions, probes, games, replies or documents. */
  n: z.int().nonnegative(),
  value: z.number(),
  /** Of 95%; null where there is too little to tell. */
  interval: interval.nullable(),
  /** What a model without the ability gets. */
  baseline: z.number().optional(),
  unit: z.enum(["share", "log-odds", "rank", "nats a token"]),
  seed: z.int(),
});

/** One measured ability, with what it takes to judge it. */
export type CheckResult = z.infer<typeof checkSchema>;

/** Checks of one model; the form of `evaluation.json`. */
export const evaluationSchema: z.ZodType<Evaluation> = z.object({
  schemaVersion: z.literal(1),
  model: z.object({ name: z.string(), architecture: z.string(), weightsHash: z.string() }),
  seed: z.int(),
  worldSeed: z.int(),
  thorough: z.boolean(),
  seconds: z.number(),
  checks: z.array(checkSchema),
});

/** See {@link evaluationSchema}. */
export interface Evaluation {
  readonly schemaVersion: 1;
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly weightsHash: string;
  };
  readonly seed: number;
  /** The seed of the worlds that the questions are about. */
  readonly worldSeed: number;
  /** Whether the sizes were those of the final table. */
  readonly thorough: boolean;
  /** Wall clock of all checks together. */
  readonly seconds: number;
  readonly checks: readonly CheckResult[];
}
