import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import type { PerTokenNormalisation } from "./per-token.ts";

/** What is known of the model and site that an SAE was trained on. Unknown keys are kept: other tools add theirs. */
export const saeMetadataSchema: z.ZodType<SaeMetadata> = z.looseObject({
  modelName: z.string().optional(),
  hookName: z.string().optional(),
  hookNameOut: z.string().optional(),
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
  /** The site that a transcoder writes, where `hookName` is the one that it reads. */
  readonly hookNameOut?: string | undefined;
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
  /**
   * Width of what a transcoder writes, d_out: it reads one site and reconstructs another, which may be as wide. null, the default, for
   * an autoencoder, which reconstructs what it reads.
   */
  readonly dOut: number | null;
  /** Number of latents, d_sae. */
  readonly dSae: number;
  /** Whether the encoder sees x - b_dec instead of x. Our own exports fold it away. */
  readonly applyBDecToInput: boolean;
  /**
   * What each token goes through before it is encoded, and its output back: see `normalisedRows`. "none" where training's normalisation
   * is folded into the weights, as ours always is.
   */
  readonly normalizeActivations: PerTokenNormalisation | "none";
  /** `"hook_z"` where SAELens flattens heads first; our activations are flat already. */
  readonly reshapeActivations: "hook_z" | "none";
  readonly metadata: SaeMetadata;
}

/** A TopK SAE keeps the k largest pre-activations of each token, then takes their ReLU. */
export interface TopKConfig extends CommonSaeConfig {
  readonly architecture: "topk";
  readonly k: number;
}

/**
 * An AbsTopK SAE keeps the k pre-activations of each token that are furthest from 0, with their signs: a latent may be active in two
 * directions (2510.00404).
 */
export interface AbsTopKConfig extends CommonSaeConfig {
  readonly architecture: "abstopk";
  readonly k: number;
}

/**
 * A matching pursuit SAE takes one latent after another: the one that explains most of what is left of the input, as SAELens has it.
 * Its encoder is its decoder, it has no b_enc, and b_dec is subtracted from the input.
 */
export interface MatchingPursuitConfig extends CommonSaeConfig {
  readonly architecture: "matching_pursuit";
  /** A token is done when the norm of what is left of it is below this; 0 for never. 0.01 by default. */
  readonly residualThreshold: number;
  /** Most steps for a token; null, the default, for d_in. */
  readonly maxIterations: number | null;
  /** Whether a token is done too when a step took a latent that it had; true by default. */
  readonly stopOnDuplicateSupport: boolean;
}

/** A JumpReLU SAE keeps the pre-activations above each latent's own threshold (2407.14435). */
export interface JumpReluConfig extends CommonSaeConfig {
  readonly architecture: "jumprelu";
}

/** What an SAE is, beside its weights. A tagged union over `architecture`. */
export type SaeConfig = AbsTopKConfig | JumpReluConfig | MatchingPursuitConfig | TopKConfig;

/** `T` as callers write it, where the fields `Names` have defaults. */
export type WithDefaults<T, Names extends keyof T> = Omit<T, Names> & {
  readonly [Name in Names]?: T[Name] | undefined;
};

type Defaulted = Exclude<keyof CommonSaeConfig, "dIn" | "dSae">;

/** {@link SaeConfig} as callers write it, with defaults left out. */
export type SaeConfigInput =
  | WithDefaults<AbsTopKConfig, Defaulted>
  | WithDefaults<JumpReluConfig, Defaulted>
  | WithDefaults<
      MatchingPursuitConfig,
      Defaulted | "maxIterations" | "residualThreshold" | "stopOnDuplicateSupport"
    >
  | WithDefaults<TopKConfig, Defaulted>;

const common = {
  schemaVersion: z.literal(1).default(1),
  dIn: z.int().positive(),
  dOut: z.int().positive().nullable().default(null),
  dSae: z.int().positive(),
  applyBDecToInput: z.boolean().default(false),
  normalizeActivations: z.enum(["none", "layer_norm", "constant_norm_rescale"]).default("none"),
  reshapeActivations: z.enum(["none", "hook_z"]).default("none"),
  metadata: saeMetadataSchema.default({}),
};

const schema: z.ZodType<SaeConfig> = z.discriminatedUnion("architecture", [
  z.object({ ...common, architecture: z.literal("topk"), k: z.int().positive() }),
  z.object({ ...common, architecture: z.literal("abstopk"), k: z.int().positive() }),
  z.object({ ...common, architecture: z.literal("jumprelu") }),
  z.object({
    ...common,
    architecture: z.literal("matching_pursuit"),
    residualThreshold: z.number().nonnegative().default(0.01),
    maxIterations: z.int().positive().nullable().default(null),
    stopOnDuplicateSupport: z.boolean().default(true),
  }),
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
  const invalid = (message: string, fix: string): ConfigError =>
    new ConfigError({ code: "SAE_CONFIG_INVALID", message, fix, where });
  if ("k" in data && data.k > data.dSae)
    throw invalid(
      `k is ${data.k}, but there are only ${data.dSae} latents`,
      "give a k of at most dSae",
    );
  if (data.dOut !== null && data.applyBDecToInput)
    throw invalid(
      "a transcoder's b_dec belongs to its output, but applyBDecToInput is set",
      "leave applyBDecToInput off, or dOut for an autoencoder",
    );
  if (data.architecture === "matching_pursuit") {
    if (data.dOut !== null)
      throw invalid(
        "matching pursuit reads and writes the same site, but dOut is set",
        "leave dOut out",
      );
    if (!data.applyBDecToInput)
      throw invalid(
        "matching pursuit subtracts b_dec from its input, but applyBDecToInput is off",
        "set applyBDecToInput, with a b_dec of 0 where there is none",
      );
  }
  return data;
}

/** `k: expected number; dIn: ...`, in one line. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map((issue) => `${issue.path.join(".") || "(whole)"}: ${issue.message}`)
    .join("; ");
}
