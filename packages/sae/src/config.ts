import { ConfigError } from "@latentkit/core";
import { z } from "zod";

/** What is known of the model and site that an SAE was trained on. Unknown keys are kept: other tools add theirs. */
export const saeMetadataSchema: z.ZodType<SaeMetadata> = z.looseObject({
  modelName: z.string().optional(),
  hookName: z.string().optional(),
  weightsHash: z.string().optional(),
  contextSize: z.int().positive().optional(),
  prependBos: z.boolean().optional(),
});

/** See {@link saeMetadataSchema}. None of it changes what the SAE computes, so none of it enters the identity. */
export interface SaeMetadata {
  /** The model's name, for example `HuggingFaceTB/SmolLM2-135M-Instruct`. */
  readonly modelName?: string | undefined;
  /** TransformerLens name of the site, for example `blocks.14.hook_resid_post`. */
  readonly hookName?: string | undefined;
  /** sha256 of the model's weights, as `Checkpoint.weightsHash` gives it. */
  readonly weightsHash?: string | undefined;
  readonly contextSize?: number | undefined;
  readonly prependBos?: boolean | undefined;
  readonly [key: string]: unknown;
}

/** What every kind of SAE has. */
export interface CommonSaeConfig {
  readonly schemaVersion: 1;
  /** Width of the activations, d_in. */
  readonly dIn: number;
  /** Number of latents, d_sae. */
  readonly dSae: number;
  /** Whether the encoder sees x - b_dec instead of x. Our own exports fold it away. */
  readonly applyBDecToInput: boolean;
  /** Always "none": whatever was done in training is folded into the weights. */
  readonly normalizeActivations: "none";
  /** `"hook_z"` where SAELens flattens heads first; our activations are flat already. */
  readonly reshapeActivations: "hook_z" | "none";
  readonly metadata: SaeMetadata;
}

/** A TopK SAE keeps the k largest pre-activations of each token, then takes their ReLU. */
export interface TopKConfig extends CommonSaeConfig {
  readonly architecture: "topk";
  readonly k: number;
}

/** A JumpReLU SAE keeps the pre-activations above each latent's own threshold (2407.14435). */
export interface JumpReluConfig extends CommonSaeConfig {
  readonly architecture: "jumprelu";
}

/** What an SAE is, beside its weights. A tagged union over `architecture`. */
export type SaeConfig = TopKConfig | JumpReluConfig;

/** `T` as callers write it, where the fields `Names` have defaults. */
export type WithDefaults<T, Names extends keyof T> = Omit<T, Names> & {
  readonly [Name in Names]?: T[Name] | undefined;
};

type Defaulted = Exclude<keyof CommonSaeConfig, "dIn" | "dSae">;

/** {@link SaeConfig} as callers write it, with defaults left out. */
export type SaeConfigInput =
  | WithDefaults<TopKConfig, Defaulted>
  | WithDefaults<JumpReluConfig, Defaulted>;

const common = {
  schemaVersion: z.literal(1).default(1),
  dIn: z.int().positive(),
  dSae: z.int().positive(),
  applyBDecToInput: z.boolean().default(false),
  normalizeActivations: z.literal("none").default("none"),
  reshapeActivations: z.enum(["none", "hook_z"]).default("none"),
  metadata: saeMetadataSchema.default({}),
};

const schema: z.ZodType<SaeConfig> = z.discriminatedUnion("architecture", [
  z.object({ ...common, architecture: z.literal("topk"), k: z.int().positive() }),
  z.object({ ...common, architecture: z.literal("jumprelu") }),
]);

/** Names of the architectures that this package computes. */
export type SaeArchitectureName = SaeConfig["architecture"];

/** Parses a configuration. Throws `ConfigError` `SAE_CONFIG_INVALID` that names the field. */
export function parseSaeConfig(config: unknown, where?: string): SaeConfig {
  const parsed = schema.safeParse(config);
  if (!parsed.success) {
    throw new ConfigError({
      code: "SAE_CONFIG_INVALID",
      message: `this is not an SAE configuration: ${describeIssues(parsed.error)}`,
      fix: "correct the fields named above",
      where,
    });
  }
  const { data } = parsed;
  if (data.architecture === "topk" && data.k > data.dSae) {
    throw new ConfigError({
      code: "SAE_CONFIG_INVALID",
      message: `k is ${data.k}, but there are only ${data.dSae} latents`,
      fix: "give a k of at most dSae",
      where,
    });
  }
  return data;
}

/** `k: expected number; dIn: ...`, in one line. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map((issue) => `${issue.path.join(".") || "(whole)"}: ${issue.message}`)
    .join("; ");
}
