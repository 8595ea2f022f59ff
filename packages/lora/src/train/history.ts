import { z } from "zod";

/** One update of {@link AdapterHistory}. */
export interface AdapterStep {
  /** 1 for the first. */
  readonly step: number;
  /** Mean over the targets of the step's batches, in nats, before the update. */
  readonly loss: number;
  /** Global L2 norm of the gradients before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Positions with a target. */
  readonly targets: number;
}

/** What training did, step by step; plain JSON. */
export interface AdapterHistory {
  readonly schemaVersion: 1;
  /** Name and weights of the base model. */
  readonly model: { readonly name: string; readonly weightsHash: string };
  readonly config: Readonly<Record<string, unknown>>;
  readonly steps: readonly AdapterStep[];
}

/** The form of {@link AdapterStep}. */
export const adapterStepSchema: z.ZodType<AdapterStep> = z.object({
  step: z.int().positive(),
  loss: z.number(),
  gradientNorm: z.number(),
  learningRate: z.number(),
  targets: z.int().positive(),
});
