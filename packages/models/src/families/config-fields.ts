// What the families' configurations have in common.
import type { Activation } from "@latentkit/tensor";
import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import { configInvalid, configUnsupported } from "../config-errors.ts";

/** A count of elements. */
export const size = z.int().positive();

/** Fields that all families have. */
export const commonFields = {
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
  quantization_config: z.unknown().optional(),
};

/** `layer_types`, as transformers 5 writes it and some versions of 4 do. */
export const layerTypes = z.array(z.string()).nullish();

/**
 * Reads fields by a family's schema.
 *
 * @throws ConfigError `CONFIG_INVALID` naming each field that does not fit; `MODEL_UNSUPPORTED` for weights packed in another format
 */
export function readFields<Schema extends z.ZodType<{ quantization_config?: unknown }>>(
  schema: Schema,
  raw: unknown,
  where: string | undefined,
): z.infer<Schema> {
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw configInvalid(faults.join("; "), where);
  }
  const { quantization_config: quantization } = parsed.data;
  if (quantization !== undefined && quantization !== null) {
    throw configUnsupported(
      "quantization_config",
      "f32, f16 and bf16 safetensors, and GGUF",
      where,
    );
  }
  return parsed.data;
}

/** The tokens of `eos_token_id`. */
export function endTokensOf(field: number | readonly number[] | null | undefined): number[] {
  return [field ?? []].flat();
}

type Defined<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

/** The fields that are not undefined: a configuration lacks what a model does not have. */
export function present<Fields extends object>(fields: Fields): Defined<Fields> {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined);
  // The entries left are those whose values the type keeps.
  return Object.fromEntries(kept) as Defined<Fields>;
}

const activationNames: Readonly<Partial<Record<string, Activation>>> = {
  gelu: "gelu",
  gelu_fast: "geluTanh",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  relu: "relu",
  silu: "silu",
  swish: "silu",
};

/**
 * The activation by Hugging Face's name, for {@link ModelConfig}: absent for SiLU.
 *
 * @param field named in errors
 * @throws ConfigError `MODEL_UNSUPPORTED`
 */
export function activationOf(
  name: string,
  field: string,
  where: string | undefined,
): Pick<ModelConfig, "activation"> {
  const activation = activationNames[name];
  if (activation === undefined) {
    const names = Object.keys(activationNames).map((known) => `"${known}"`);
    throw configUnsupported(`${field} "${name}"`, `${field} ${names.join(", ")}`, where);
  }
  return activation === "silu" ? {} : { activation };
}

/** Hugging Face's name of an activation. `tanhName` is what the family calls the GELU with a tanh. */
export function activationName(
  config: ModelConfig,
  tanhName: "gelu_new" | "gelu_pytorch_tanh" = "gelu_pytorch_tanh",
): string {
  const activation = config.activation ?? "silu";
  return activation === "geluTanh" ? tanhName : activation;
}

/**
 * Which layers have the sliding window, for {@link ModelConfig}: nothing where none has.
 *
 * @param types `layer_types`
 * @param slides what holds where there are no types
 * @throws ConfigError `CONFIG_INVALID` for types that are not one a layer; `MODEL_UNSUPPORTED` for others than
 *   `full_attention` and `sliding_attention`
 */
export function slidingOf(
  window: number | null | undefined,
  layers: number,
  types: readonly string[] | null | undefined,
  slides: (layer: number) => boolean,
  where: string | undefined,
): Pick<ModelConfig, "slidingLayers" | "slidingWindow"> {
  const unknown = types?.find((type) => type !== "full_attention" && type !== "sliding_attention");
  if (unknown !== undefined) {
    const supported = "full_attention and sliding_attention";
    throw configUnsupported(`a layer of type "${unknown}"`, supported, where);
  }
  if (types && types.length !== layers)
    throw configInvalid(`layer_types has ${types.length} entries for ${layers} layers`, where);
  const all = Array.from({ length: layers }, (_, layer) => layer);
  const sliding = all.filter((layer) =>
    types ? types[layer] === "sliding_attention" : slides(layer),
  );
  if (sliding.length === 0) return {};
  if (window === null || window === undefined) {
    if (types) throw configInvalid("layers slide and sliding_window is not there", where);
    return {};
  }
  return sliding.length === layers
    ? { slidingWindow: window }
    : { slidingWindow: window, slidingLayers: sliding };
}

/** `layer_types` of a configuration. */
export function layerTypesOf(config: ModelConfig): string[] {
  const { slidingWindow, slidingLayers } = config;
  return Array.from({ length: config.layers }, (_, layer) =>
    slidingWindow !== undefined && (slidingLayers?.includes(layer) ?? true)
      ? "sliding_attention"
      : "full_attention",
  );
}
