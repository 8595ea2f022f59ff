import * as z from "zod";
import { configUnsupported } from "../config-errors.ts";
import { readFields, size } from "./config-fields.ts";
import { gemmaFeatures, gemmaFields, gemmaJson, gemmaSmall } from "./gemma2.ts";
import { llamaLike, llamaLikeConfig } from "./llama-like.ts";
import { ropeSchema } from "./rope-fields.ts";

/** transformers 5 has one set of rotary parameters for each type of layer. */
const nested = z.looseObject({
  full_attention: ropeSchema.nullish(),
  sliding_attention: ropeSchema.nullish(),
});

/** With the defaults of transformers' `Gemma3TextConfig`. */
const schema = z.looseObject({
  ...gemmaFields,
  vocab_size: size.default(262_208),
  max_position_embeddings: size.default(131_072),
  // transformers 4
  rope_local_base_freq: z.number().positive().nullish(),
  sliding_window_pattern: size.default(6),
  // transformers 5
  rope_parameters: nested.nullish(),
});

/**
 * Gemma 3's text models (2503.19786): Gemma 2 with norms of queries and keys in place of the cap of scores, five layers with a
 * window to one without, and a rotary base of its own for those with a window. Of a model with images (`model_type` gemma3) the text
 * model is read, and its tensors for images are left in the file.
 */
export const gemma3 = llamaLike(
  {
    otherTensors: /^(?:vision_tower|multi_modal_projector)\./u,
    small: { ...gemmaSmall, ropeBase: 1_000_000, localRopeBase: 10_000 },
    parse(raw, where) {
      const { rope_parameters: parameters, ...fields } = readFields(schema, raw, where);
      const pattern = fields.sliding_window_pattern;
      const local = parameters?.sliding_attention;
      const localType = local?.rope_type ?? local?.type ?? "default";
      if (localType !== "default") {
        const given = `rope scaling "${localType}" in layers with a window`;
        throw configUnsupported(given, 'rope type "default" there', where);
      }
      const whole = { ...fields, rope_parameters: parameters?.full_attention };
      return {
        ...llamaLikeConfig("gemma3_text", whole, where, 1_000_000),
        ...gemmaFeatures(whole, (layer) => (layer + 1) % pattern !== 0, where),
        localRopeBase: local?.rope_theta ?? fields.rope_local_base_freq ?? 10_000,
      };
    },
    configFields: (config) => {
      const fields = gemmaJson(config);
      const { localRopeBase } = config;
      return {
        ...fields,
        rope_local_base_freq: localRopeBase,
        rope_parameters: {
          full_attention: fields["rope_parameters"],
          sliding_attention: { rope_theta: localRopeBase, rope_type: "default" },
        },
      };
    },
  },
  {
    norms: "both",
    normOffset: 1,
    scaledEmbeddings: true,
    queryKeyNorm: "head",
    prefixes: ["language_model."],
  },
);
