import { ConfigError } from "@latentkit/core";
import type { ModelConfig } from "@latentkit/models";

/** The linear layers of a block that can be adapted, by PEFT's names, in forward order. */
export const targetModules = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/** One of {@link targetModules}. */
export type TargetModule = (typeof targetModules)[number];

/** A linear layer that an adapter changes. */
export interface AdaptedModule {
  /** As Hugging Face names it, for example `model.layers.0.self_attn.q_proj`; its weight is `NAME.weight`. */
  readonly name: string;
  readonly layer: number;
  readonly target: TargetModule;
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * The linear layers of a model that have one of these names, in forward order.
 *
 * @param layers which blocks; all of them for null
 * @throws ConfigError `ADAPTER_TARGETS` for no names, an unknown one, no layers or a layer that the model lacks
 */
export function adaptedModules(
  config: ModelConfig,
  targets: readonly string[],
  layers: readonly number[] | null,
): readonly AdaptedModule[] {
  const unknown = targets.filter((name) => !targetModules.some((known) => known === name));
  if (targets.length === 0 || unknown.length > 0) {
    throw targetsError(
      targets.length === 0
        ? "no modules were named to adapt"
        : `modules named ${unknown.join(", ")} cannot be adapted`,
      `name some of ${targetModules.join(", ")}`,
    );
  }
  const chosen = layers ?? Array.from({ length: config.layers }, (_, layer) => layer);
  const outside = chosen.filter(
    (layer) => !Number.isInteger(layer) || layer < 0 || layer >= config.layers,
  );
  if (chosen.length === 0 || outside.length > 0) {
    throw targetsError(
      chosen.length === 0
        ? "no layers were named to adapt"
        : `layers ${outside.join(", ")} are not in a model of ${config.layers}`,
      `name layers from 0 to ${config.layers - 1}`,
    );
  }
  const wanted = new Set(targets);
  return [...new Set(chosen)]
    .sort((a, b) => a - b)
    .flatMap((layer) =>
      targetModules
        .filter((target) => wanted.has(target))
        .map((target) => ({
          name: `model.layers.${layer}.${blockOf(target)}.${target}`,
          layer,
          target,
          ...sizesOf(config, target),
        })),
    );
}

function blockOf(target: TargetModule): "mlp" | "self_attn" {
  return target === "gate_proj" || target === "up_proj" || target === "down_proj"
    ? "mlp"
    : "self_attn";
}

function sizesOf(
  config: ModelConfig,
  target: TargetModule,
): { readonly inputs: number; readonly outputs: number } {
  const { dModel, dMlp, heads, kvHeads, dHead } = config;
  switch (target) {
    case "q_proj":
      return { inputs: dModel, outputs: heads * dHead };
    case "k_proj":
    case "v_proj":
      return { inputs: dModel, outputs: kvHeads * dHead };
    case "o_proj":
      return { inputs: heads * dHead, outputs: dModel };
    case "gate_proj":
    case "up_proj":
      return { inputs: dModel, outputs: dMlp };
    case "down_proj":
      return { inputs: dMlp, outputs: dModel };
  }
}

function targetsError(message: string, fix: string): ConfigError {
  return new ConfigError({ code: "ADAPTER_TARGETS", message, fix });
}
