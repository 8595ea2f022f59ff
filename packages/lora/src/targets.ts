import { ConfigError } from "@latentkit/core";
import { type LinearLayer, linearLayers, type ModelConfig } from "@latentkit/models";

/** A linear layer that an adapter changes. */
export interface AdaptedModule extends LinearLayer {
  /** The last part of its name, for example `q_proj`. */
  readonly target: string;
}

/**
 * The linear layers of a model's blocks by PEFT's names, in forward order: `q_proj` to `down_proj` for Llama and its like, `c_attn`,
 * `c_proj` and `c_fc` for GPT-2, `query_key_value`, `dense`, `dense_h_to_4h` and `dense_4h_to_h` for GPT-NeoX.
 */
export function targetModulesOf(config: ModelConfig): readonly string[] {
  return [...new Set(linearLayers(config).map(({ name }) => lastPart(name)))];
}

/**
 * The linear layers of a model that have one of these names, in forward order. As in PEFT a name is the whole of a layer's name or its
 * end, after a point: `c_proj` is that of attention and that of the MLP, `attn.c_proj` the former. Names that no layer has count for
 * nothing, unless there are no others.
 *
 * @param layers which blocks, all of them for null; whole names count whatever their block
 * @throws ConfigError `ADAPTER_TARGETS` for names that no layer has, no layers or a layer that the model lacks
 */
export function adaptedModules(
  config: ModelConfig,
  targets: readonly string[],
  layers: readonly number[] | null,
): readonly AdaptedModule[] {
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
  const found = linearLayers(config)
    .filter(
      ({ name, layer }) =>
        targets.includes(name) || (chosen.includes(layer) && isTarget(name, targets)),
    )
    .map((layer) => ({ ...layer, target: lastPart(layer.name) }));
  if (found.length > 0) return found;
  throw targetsError(
    targets.length === 0
      ? "no modules were named to adapt"
      : `a ${config.architecture} model has no modules named ${targets.join(", ")}`,
    `name some of ${targetModulesOf(config).join(", ")}`,
  );
}

/** Whether PEFT takes a module of this name for one of the targets. */
export function isTarget(name: string, targets: readonly string[]): boolean {
  return targets.some((target) => name === target || name.endsWith(`.${target}`));
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

function targetsError(message: string, fix: string): ConfigError {
  return new ConfigError({ code: "ADAPTER_TARGETS", message, fix });
}
