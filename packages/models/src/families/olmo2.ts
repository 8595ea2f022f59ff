import * as z from "zod";
import { activationOf, present, readFields, size } from "./config-fields.ts";
import {
  llamaLike,
  llamaLikeConfig,
  llamaLikeFields,
  llamaLikeJson,
  llamaLikeSmall,
} from "./llama-like.ts";

/** With the defaults of transformers' `Olmo2Config`. */
const schema = z.looseObject({
  ...llamaLikeFields,
  vocab_size: size.default(50_304),
  hidden_size: size.default(4_096),
  intermediate_size: size.default(11_008),
  num_hidden_layers: size.default(32),
  num_attention_heads: size.default(32),
  max_position_embeddings: size.default(2_048),
  hidden_act: z.string().default("silu"),
  attention_bias: z.boolean().default(false),
  rms_norm_eps: z.number().nonnegative().default(1e-5),
  eos_token_id: z
    .union([z.int(), z.array(z.int())])
    .nullable()
    .default(50_279),
});

/**
 * OLMo 2 (2501.00656): norms after attention and MLP in place of before, and of queries and keys over their whole width. As in
 * TransformerLens `ln1` and `ln2` are the norms after, so that `hook_attn_out` is what is added to the residual stream.
 */
export const olmo2 = llamaLike(
  {
    small: { ...llamaLikeSmall, tiedEmbeddings: false },
    parse(raw, where) {
      const fields = readFields(schema, raw, where);
      return {
        ...llamaLikeConfig("olmo2", fields, where),
        ...activationOf(fields.hidden_act, "hidden_act", where),
        ...present({ attentionBias: fields.attention_bias || undefined }),
      };
    },
    configFields: llamaLikeJson,
  },
  { norms: "after", queryKeyNorm: "width" },
);
