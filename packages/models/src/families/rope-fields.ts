// Rotary embeddings in the families' configurations.
import * as z from "zod";
import type { ModelConfig, ModelRopeScaling } from "../config.ts";
import { configInvalid, configUnsupported } from "../config-errors.ts";
import { present, size } from "./config-fields.ts";

const positive = z.number().positive();

/** `rope_scaling` of transformers 4 and `rope_parameters` of 5, which holds the base as well. */
export const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.nullish(),
  partial_rotary_factor: positive.nullish(),
  factor: positive.nullish(),
  original_max_position_embeddings: size.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  attention_factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
});

/** One set of rotary parameters. */
export type RopeFields = z.infer<typeof ropeSchema>;

/** Fields of a configuration with one kind of rotary embedding. */
export const ropeFields = {
  max_position_embeddings: size,
  // transformers 4
  rope_theta: positive.nullish(),
  rope_scaling: ropeSchema.nullish(),
  partial_rotary_factor: positive.nullish(),
  // transformers 5
  rope_parameters: ropeSchema.nullish(),
};

/** What the rotary embeddings of a configuration come to. */
export interface RopeOptions {
  readonly dHead: number;
  /** `rope_theta` where the configuration has none. */
  readonly base?: number;
  /** The part of each head that is rotated, where the configuration does not say. */
  readonly partial?: number;
}

/**
 * Base, scaling and width of rotary embeddings, as either transformers writes them.
 *
 * @throws ConfigError `MODEL_UNSUPPORTED` for a type of scaling that is not supported; `CONFIG_INVALID` for one without its numbers
 */
export function ropeOf(
  fields: {
    readonly max_position_embeddings: number;
    readonly rope_theta?: number | null | undefined;
    readonly rope_scaling?: RopeFields | null | undefined;
    readonly partial_rotary_factor?: number | null | undefined;
    readonly rope_parameters?: RopeFields | null | undefined;
  },
  { dHead, base = 10_000, partial = 1 }: RopeOptions,
  where: string | undefined,
): Pick<ModelConfig, "dRotary" | "ropeScaling"> & { readonly ropeBase: number } {
  const rope = fields.rope_scaling ?? fields.rope_parameters ?? {};
  const factor =
    rope.partial_rotary_factor ??
    fields.rope_parameters?.partial_rotary_factor ??
    fields.partial_rotary_factor ??
    partial;
  const dRotary = Math.floor(dHead * factor);
  return {
    ropeBase: rope.rope_theta ?? fields.rope_parameters?.rope_theta ?? fields.rope_theta ?? base,
    ...present({
      ropeScaling: scalingOf(rope, fields.max_position_embeddings, where),
      dRotary: dRotary === dHead ? undefined : dRotary,
    }),
  };
}

function scalingOf(
  rope: RopeFields,
  contextSize: number,
  where: string | undefined,
): ModelRopeScaling | undefined {
  const type = rope.rope_type ?? rope.type ?? "default";
  const number = (name: "factor" | "high_freq_factor" | "low_freq_factor"): number => {
    const value = rope[name];
    if (value !== null && value !== undefined) return value;
    throw configInvalid(`rope scaling "${type}" has no ${name}`, where);
  };
  const originalPositions = rope.original_max_position_embeddings ?? contextSize;
  switch (type) {
    case "default":
      return undefined;
    case "linear":
      return { type, factor: number("factor") };
    case "llama3":
      return {
        type,
        factor: number("factor"),
        lowFrequencyFactor: number("low_freq_factor"),
        highFrequencyFactor: number("high_freq_factor"),
        originalPositions,
      };
    case "yarn":
      return {
        type,
        factor: rope.factor ?? contextSize / originalPositions,
        originalPositions,
        ...present({
          attentionFactor: rope.attention_factor ?? undefined,
          mscale: rope.mscale ?? undefined,
          mscaleAllDim: rope.mscale_all_dim ?? undefined,
          betaFast: rope.beta_fast ?? undefined,
          betaSlow: rope.beta_slow ?? undefined,
          truncate: rope.truncate ?? undefined,
        }),
      };
    default: {
      const supported = 'rope type "default", "linear", "llama3" or "yarn"';
      throw configUnsupported(`rope scaling "${type}"`, supported, where);
    }
  }
}

/** The fields of either transformers for a configuration's rotary embeddings; `rope_scaling` only where there is scaling. */
export function ropeJson(config: ModelConfig): Record<string, unknown> {
  const { ropeBase, dRotary, dHead } = config;
  const scaling = scalingJson(config.ropeScaling);
  const partial = dRotary === undefined ? {} : { partial_rotary_factor: dRotary / dHead };
  return {
    rope_parameters: { ...(scaling ?? { rope_type: "default" }), ...partial, rope_theta: ropeBase },
    rope_theta: ropeBase,
    ...partial,
    ...(scaling === undefined ? {} : { rope_scaling: scaling }),
  };
}

function scalingJson(scaling: ModelRopeScaling | undefined): Record<string, unknown> | undefined {
  if (scaling === undefined) return undefined;
  const { type, factor } = scaling;
  if (type === "linear") return { rope_type: type, factor };
  const original = {
    rope_type: type,
    factor,
    original_max_position_embeddings: scaling.originalPositions,
  };
  if (type === "llama3") {
    return {
      ...original,
      low_freq_factor: scaling.lowFrequencyFactor,
      high_freq_factor: scaling.highFrequencyFactor,
    };
  }
  return {
    ...original,
    ...present({
      attention_factor: scaling.attentionFactor,
      mscale: scaling.mscale,
      mscale_all_dim: scaling.mscaleAllDim,
      beta_fast: scaling.betaFast,
      beta_slow: scaling.betaSlow,
      truncate: scaling.truncate,
    }),
  };
}
