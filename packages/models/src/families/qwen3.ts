import * as z from "zod";
import { activationOf, present, readFields, size } from "./config-fields.ts";
import { llamaLike, llamaLikeConfig, llamaLikeJson, llamaLikeSmall } from "./llama-like.ts";
import { qwenFields, qwenSliding, qwenSlidingJson } from "./qwen2.ts";

const schema = z.looseObject({
  ...qwenFields,
  head_dim: size.default(128),
  attention_bias: z.boolean().default(false),
});

/** Qwen 3 (2505.09388), its dense models: Llama with a norm of each head's queries and keys. */
export const qwen3 = llamaLike(
  {
    small: llamaLikeSmall,
    parse(raw, where) {
      const fields = readFields(schema, raw, where);
      return {
        ...llamaLikeConfig("qwen3", fields, where),
        ...activationOf(fields.hidden_act, "hidden_act", where),
        ...qwenSliding(fields, where),
        ...present({ attentionBias: fields.attention_bias || undefined }),
      };
    },
    configFields: (config) => ({ ...llamaLikeJson(config), ...qwenSlidingJson(config) }),
  },
  { queryKeyNorm: "head" },
);
