import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import {
  activationOf,
  layerTypes,
  layerTypesOf,
  readFields,
  size,
  slidingOf,
} from "./config-fields.ts";
import {
  llamaLike,
  llamaLikeConfig,
  llamaLikeFields,
  llamaLikeJson,
  llamaLikeSmall,
} from "./llama-like.ts";

/** Fields of Qwen 2 and 3, with the defaults that transformers' `Qwen2Config` and `Qwen3Config` share. */
export const qwenFields = {
  ...llamaLikeFields,
  vocab_size: size.default(151_936),
  hidden_size: size.default(4_096),
  intermediate_size: size.default(22_016),
  num_hidden_layers: size.default(32),
  num_attention_heads: size.default(32),
  num_key_value_heads: size.nullable().default(32),
  max_position_embeddings: size.default(32_768),
  hidden_act: z.string().default("silu"),
  use_sliding_window: z.boolean().default(false),
  sliding_window: size.nullable().default(4_096),
  max_window_layers: z.int().nonnegative().default(28),
  layer_types: layerTypes,
};

/** The window of Qwen 2 and 3: of the layers from `max_window_layers` on, and only if it is switched on. */
export function qwenSliding(
  fields: z.infer<z.ZodObject<typeof qwenFields, z.core.$loose>>,
  where: string | undefined,
): Pick<ModelConfig, "slidingLayers" | "slidingWindow"> {
  const window = fields.use_sliding_window ? fields.sliding_window : null;
  const slides = (layer: number) => window !== null && layer >= fields.max_window_layers;
  return slidingOf(window, fields.num_hidden_layers, fields.layer_types, slides, where);
}

/** What {@link qwenSliding} reads back. */
export function qwenSlidingJson(config: ModelConfig): Record<string, unknown> {
  const types = layerTypesOf(config);
  const first = types.indexOf("sliding_attention");
  return {
    layer_types: types,
    max_window_layers: first === -1 ? config.layers : first,
    sliding_window: config.slidingWindow ?? null,
    use_sliding_window: config.slidingWindow !== undefined,
  };
}

const schema = z.looseObject(qwenFields);

/** Qwen 2 and 2.5 (2407.10671): Llama with biases of queries, keys and values. */
export const qwen2 = llamaLike(
  {
    small: llamaLikeSmall,
    parse(raw, where) {
      const fields = readFields(schema, raw, where);
      // transformers' Qwen2 has no head width of its own in its configuration, but takes one.
      return {
        ...llamaLikeConfig("qwen2", fields, where),
        ...activationOf(fields.hidden_act, "hidden_act", where),
        ...qwenSliding(fields, where),
      };
    },
    configFields: (config) => {
      const { attention_bias: _, ...fields } = llamaLikeJson(config);
      return { ...fields, ...qwenSlidingJson(config) };
    },
  },
  { queryKeyValueBias: true },
);
