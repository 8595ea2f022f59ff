import { ConfigError } from "@latentkit/core";
import { z } from "zod";

/** What an adapter is, beside its matrices. */
export interface AdapterConfig {
  /** Inner width r of `B A`. */
  readonly rank: number;
  /** The product counts `alpha / rank` times, or `alpha / sqrt(rank)` with {@link AdapterConfig.rsLora}. */
  readonly alpha: number;
  /** Rank-stabilised scaling (2312.03732). */
  readonly rsLora: boolean;
  /** Names of linear layers, or ends of their names: see `adaptedModules`. */
  readonly targetModules: readonly string[];
  /** Which blocks; null for all. */
  readonly layers: readonly number[] | null;
  /** Name or path of the model that it belongs to, as PEFT keeps it. */
  readonly baseModel: string | null;
}

/** {@link AdapterConfig} as callers write it. */
export interface AdapterConfigInput {
  readonly rank: number;
  readonly alpha: number;
  /** Off by default. */
  readonly rsLora?: boolean | undefined;
  /** Names of linear layers, or ends of their names; all linear layers of the model's blocks by default. */
  readonly targetModules?: readonly string[] | undefined;
  /** All by default. */
  readonly layers?: readonly number[] | null | undefined;
  readonly baseModel?: string | null | undefined;
}

const schema: z.ZodType<AdapterConfig> = z.object({
  rank: z.int().positive(),
  alpha: z.number().refine(Number.isFinite, "is not finite"),
  rsLora: z.boolean().default(false),
  targetModules: z.array(z.string().min(1)).min(1),
  layers: z.array(z.int().nonnegative()).min(1).nullable().default(null),
  baseModel: z.string().nullable().default(null),
});

/** Checks and completes a configuration. Throws `ConfigError` `ADAPTER_CONFIG` naming the fields that are wrong. */
export function parseAdapterConfig(input: unknown): AdapterConfig {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new ConfigError({
    code: "ADAPTER_CONFIG",
    message: `this is not an adapter's configuration: ${describeIssues(parsed.error)}`,
    fix: "correct the fields named above",
  });
}

/** The factor of `B A`: `alpha / rank`, or `alpha / sqrt(rank)` where rank-stabilised. */
export function adapterScale({
  rank,
  alpha,
  rsLora,
}: Pick<AdapterConfig, "alpha" | "rank" | "rsLora">): number {
  return alpha / (rsLora ? Math.sqrt(rank) : rank);
}

/** `r: expected number; alpha: ...`, in one line. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map((issue) => `${issue.path.join(".") || "(whole)"}: ${issue.message}`)
    .join("; ");
}
