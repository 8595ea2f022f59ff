// Rotary embeddings in the families' configurations.
import type { RopeScaling } from "@latentkit/tensor";
import * as z from "zod";
import type { ModelConfig } from "../config.ts";
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
  short_factor: z.array(positive).nullish(),
  long_factor: z.array(positive).nullish(),
});

/** One set of rotary parameters. */
export type RopeFields = z.infer<typeof ropeSchema>;

/** Fields of a configuration with one kind of rotary embedding. */
export const ropeFields = {
  max_position_embeddings: size,
  original_max_position_embeddings: size.nullish(),
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
 * Base, scaling and width of rotary embeddings, as either transformers writes them, and the context that they reach.
 *
 * @throws ConfigError `MODEL_UNSUPPORTED` for a type of scaling that is not supported; `CONFIG_INVALID` for one without its numbers
 */
export function ropeOf(
  fields: {
    readonly max_position_embeddings: number;
    readonly original_max_position_embeddings?: number | null | undefined;
    readonly rope_theta?: number | null | undefined;
    readonly rope_scaling?: RopeFields | null | undefined;
    readonly partial_rotary_factor?: number | null | undefined;
    readonly rope_parameters?: RopeFields | null | undefined;
  },
  { dHead, base = 10_000, partial = 1 }: RopeOptions,
  where: string | undefined,
): Pick<ModelConfig, "contextSize" | "dRotary" | "ropeScaling"> & { readonly ropeBase: number } {
  const rope = fields.rope_scaling ?? fields.rope_parameters ?? {};
  const factor =
    rope.partial_rotary_factor ??
    fields.rope_parameters?.partial_rotary_factor ??
    fields.partial_rotary_factor ??
    partial;
  const dRotary = Math.floor(dHead * factor);
  const { max_position_embeddings: positions, original_max_position_embeddings: original } = fields;
  const scaling = scalingOf(rope, { positions, original: original ?? null, dRotary }, where);
  return {
    contextSize:
      scaling?.type === "dynamic"
        ? Math.max(positions, Math.floor(positions * scaling.factor))
        : positions,
    ropeBase: rope.rope_theta ?? fields.rope_parameters?.rope_theta ?? fields.rope_theta ?? base,
    ...present({
      ropeScaling: scaling,
      dRotary: dRotary === dHead ? undefined : dRotary,
    }),
  };
}

function scalingOf(
  rope: RopeFields,
  {
    positions,
    original,
    dRotary,
  }: {
    /** `max_position_embeddings`. */
    readonly positions: number;
    /** `original_max_position_embeddings` beside it, which goes before that of the scaling. */
    readonly original: number | null;
    readonly dRotary: number;
  },
  where: string | undefined,
): RopeScaling | undefined {
  const type = rope.rope_type ?? rope.type ?? "default";
  const number = (name: "factor" | "high_freq_factor" | "low_freq_factor"): number => {
    const value = rope[name];
    if (value !== null && value !== undefined) return value;
    throw configInvalid(`rope scaling "${type}" has no ${name}`, where);
  };
  const divisors = (name: "long_factor" | "short_factor"): readonly number[] => {
    const values = rope[name] ?? [];
    if (values.length === dRotary / 2) return values;
    throw configInvalid(
      `rope scaling "${type}" has ${values.length} numbers in ${name} for ${dRotary / 2} pairs of rotated features`,
      where,
    );
  };
  const originalPositions = original ?? rope.original_max_position_embeddings ?? positions;
  switch (type) {
    case "default":
      return undefined;
    case "linear":
      return { type, factor: number("factor") };
    case "dynamic":
      return { type, factor: number("factor"), originalPositions: positions };
    case "longrope":
      return {
        type,
        shortFactor: divisors("short_factor"),
        longFactor: divisors("long_factor"),
        originalPositions,
        factor: rope.factor ?? positions / originalPositions,
        ...present({ attentionFactor: rope.attention_factor ?? undefined }),
      };
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
        factor: rope.factor ?? positions / originalPositions,
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
      const supported = 'rope type "default", "linear", "dynamic", "llama3", "yarn" or "longrope"';
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
    // Of this scaling they are the positions that it starts from.
    ...(config.ropeScaling?.type === "dynamic"
      ? { max_position_embeddings: config.ropeScaling.originalPositions }
      : {}),
    ...(scaling === undefined ? {} : { rope_scaling: scaling }),
  };
}

function scalingJson(scaling: RopeScaling | undefined): Record<string, unknown> | undefined {
  if (scaling === undefined) return undefined;
  const { type, factor } = scaling;
  if (type === "linear" || type === "dynamic") return { rope_type: type, factor };
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
  if (type === "longrope") {
    return {
      ...original,
      short_factor: scaling.shortFactor,
      long_factor: scaling.longFactor,
      ...present({ attention_factor: scaling.attentionFactor }),
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
