import * as z from "zod";
import { activationOf, layerTypes, readFields, size, slidingOf } from "./config-fields.ts";
import {
  llamaLike,
  llamaLikeConfig,
  llamaLikeFields,
  llamaLikeJson,
  llamaLikeSmall,
} from "./llama-like.ts";

/** With the defaults of transformers' `MistralConfig`. */
const schema = z.looseObject({
  ...llamaLikeFields,
  vocab_size: size.default(32_000),
  hidden_size: size.default(4_096),
  intermediate_size: size.default(14_336),
  num_hidden_layers: size.default(32),
  num_attention_heads: size.default(32),
  num_key_value_heads: size.nullable().default(8),
  max_position_embeddings: size.default(131_072),
  hidden_act: z.string().default("silu"),
  sliding_window: size.nullable().default(4_096),
  layer_types: layerTypes,
  eos_token_id: z
    .union([z.int(), z.array(z.int())])
    .nullable()
    .default(2),
});

/** Mistral (2310.06825): Llama whose attention sees a window of keys, in all layers. */
export const mistral = llamaLike({
  small: { ...llamaLikeSmall, slidingWindow: 16 },
  parse(raw, where) {
    const fields = readFields(schema, raw, where);
    // transformers' Mistral has one mask for all layers: layer_types make no difference there.
    const slides = fields.sliding_window !== null;
    return {
      ...llamaLikeConfig("mistral", fields, where),
      ...activationOf(fields.hidden_act, "hidden_act", where),
      ...slidingOf(fields.sliding_window, fields.num_hidden_layers, null, () => slides, where),
    };
  },
  configFields: (config) => {
    const { attention_bias: _, ...fields } = llamaLikeJson(config);
    return { ...fields, sliding_window: config.slidingWindow ?? null };
  },
});
