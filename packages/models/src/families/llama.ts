import * as z from "zod";
import { activationOf, present, readFields, size } from "./config-fields.ts";
import {
  llamaLike,
  llamaLikeConfig,
  llamaLikeFields,
  llamaLikeJson,
  llamaLikeSmall,
} from "./llama-like.ts";

/** With the defaults of transformers' `LlamaConfig`. */
const schema = z.looseObject({
  ...llamaLikeFields,
  vocab_size: size.default(32_000),
  hidden_size: size.default(4_096),
  intermediate_size: size.default(11_008),
  num_hidden_layers: size.default(32),
  num_attention_heads: size.default(32),
  max_position_embeddings: size.default(2_048),
  hidden_act: z.string().default("silu"),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

/** Llama, Llama 2 and 3, SmolLM2, TinyLlama and others of the same shape (2302.13971). */
export const llama = llamaLike({
  small: llamaLikeSmall,
  parse(raw, where) {
    const fields = readFields(schema, raw, where);
    return {
      ...llamaLikeConfig("llama", fields, where),
      ...activationOf(fields.hidden_act, "hidden_act", where),
      ...present({
        attentionBias: fields.attention_bias || undefined,
        mlpBias: fields.mlp_bias || undefined,
      }),
    };
  },
  configFields: (config) => ({ ...llamaLikeJson(config), mlp_bias: config.mlpBias ?? false }),
});
