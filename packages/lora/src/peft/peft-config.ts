import { ConfigError, FormatError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues, parseAdapterConfig } from "../adapter-config.ts";
import type { LoraAdapter } from "../adapter.ts";

/** `adapter_config.json` as PEFT writes it. What is not named here changes nothing that is computed, and is tolerated. */
const peftSchema = z.looseObject({
  peft_type: z.string(),
  r: z.int().positive(),
  lora_alpha: z.number(),
  use_rslora: z.boolean().default(false),
  target_modules: z.union([z.string(), z.array(z.string())]).nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
  base_model_name_or_path: z.string().nullish(),
  bias: z.string().default("none"),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  use_dora: z.boolean().nullish(),
  lora_bias: z.boolean().nullish(),
  use_qalora: z.boolean().nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  rank_pattern: z.record(z.string(), z.unknown()).nullish(),
  alpha_pattern: z.record(z.string(), z.unknown()).nullish(),
  exclude_modules: z.union([z.string(), z.array(z.string())]).nullish(),
  layer_replication: z.array(z.unknown()).nullish(),
  target_parameters: z.array(z.string()).nullish(),
  trainable_token_indices: z.unknown().optional(),
  alora_invocation_tokens: z.unknown().optional(),
  arrow_config: z.unknown().optional(),
  use_bdlora: z.unknown().optional(),
  velora_config: z.unknown().optional(),
  monteclora_config: z.unknown().optional(),
  kasa_config: z.unknown().optional(),
});

type PeftFields = z.infer<typeof peftSchema>;

/** What can be said from `adapter_config.json` alone. */
export interface PeftConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly rsLora: boolean;
  /** Null where the file has a pattern: the names of the weights then decide. */
  readonly targetModules: readonly string[] | null;
  readonly layers: readonly number[] | null;
  readonly baseModel: string | null;
}

/**
 * Reads `adapter_config.json`. `fan_in_fan_out` is left to the model, which says how each weight is stored, as in PEFT.
 *
 * @throws FormatError `ADAPTER_CONFIG` for fields that are missing or of the wrong type; ConfigError `ADAPTER_UNSUPPORTED` for another
 *   kind of adapter or a feature that is not implemented, naming it
 */
export function parsePeftConfig(raw: unknown, where?: string): PeftConfig {
  const parsed = peftSchema.safeParse(raw);
  if (!parsed.success) {
    throw new FormatError({
      code: "ADAPTER_CONFIG",
      message: `this is not PEFT's configuration of a LoRA: ${describeIssues(parsed.error)}`,
      fix: "give the adapter_config.json that PEFT wrote beside the weights",
      where,
    });
  }
  const fields = parsed.data;
  const refused = unsupportedFeatures(fields);
  if (refused.length > 0) {
    throw new ConfigError({
      code: "ADAPTER_UNSUPPORTED",
      message: `the adapter has ${refused.join(", ")}; supported are plain LoRA and its rank-stabilised scaling on linear layers, without biases`,
      fix: "merge this adapter into its model with PEFT (merge_and_unload), and load the merged model",
      where,
    });
  }
  return {
    rank: fields.r,
    alpha: fields.lora_alpha,
    rsLora: fields.use_rslora,
    targetModules: Array.isArray(fields.target_modules) ? fields.target_modules : null,
    layers:
      fields.layers_to_transform === null || fields.layers_to_transform === undefined
        ? null
        : [fields.layers_to_transform].flat(),
    baseModel: fields.base_model_name_or_path ?? null,
  };
}

/** `adapter_config.json` for PEFT: the same adapter gives the same object. */
export function peftConfigOf({
  config,
  modules,
}: Pick<LoraAdapter, "config" | "modules">): Readonly<Record<string, unknown>> {
  const { rank, alpha, rsLora, layers, baseModel, targetModules } = parseAdapterConfig(config);
  return {
    alpha_pattern: {},
    base_model_name_or_path: baseModel,
    bias: "none",
    // PEFT sees at each module how its weight is stored, and warns where this says otherwise.
    fan_in_fan_out: modules.every(({ transposed }) => transposed),
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: layers,
    lora_alpha: alpha,
    lora_bias: false,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: "LORA",
    r: rank,
    rank_pattern: {},
    target_modules: targetModules,
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: rsLora,
  };
}

/** What the file asks for and this package does not compute, in words. */
function unsupportedFeatures(fields: PeftFields): readonly string[] {
  const { init_lora_weights: start } = fields;
  // These start by changing the base weights, so that the saved factors belong to a base that the folder does not hold.
  const changesBase =
    typeof start === "string" && /^(pissa|olora|corda|loftq|lora_ga)/i.test(start);
  const filled = (value: unknown): boolean =>
    value !== null && value !== undefined && value !== false && Object.keys(value).length > 0;
  return [
    ...(fields.peft_type === "LORA" ? [] : [`peft_type "${fields.peft_type}"`]),
    ...(fields.bias === "none" ? [] : [`bias "${fields.bias}"`]),
    ...(changesBase ? [`init_lora_weights "${start}"`] : []),
    ...(["use_dora", "lora_bias", "use_qalora"] as const).flatMap((name) =>
      fields[name] === true ? [name] : [],
    ),
    ...(
      [
        "modules_to_save",
        "rank_pattern",
        "alpha_pattern",
        "exclude_modules",
        "layer_replication",
        "target_parameters",
        "trainable_token_indices",
        "alora_invocation_tokens",
        "arrow_config",
        "use_bdlora",
        "velora_config",
        "monteclora_config",
        "kasa_config",
      ] as const
    ).flatMap((name) => (filled(fields[name]) ? [name] : [])),
  ];
}
