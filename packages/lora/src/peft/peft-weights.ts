import { ConfigError, FormatError } from "@latentkit/core";
import type { TensorStore, TensorToWrite } from "@latentkit/loaders";
import {
  type LinearLayer,
  linearLayers,
  type ModelConfig,
  parameterNames,
} from "@latentkit/models";
import { type AdapterConfig, parseAdapterConfig } from "../adapter-config.ts";
import { type AdaptedModel, LoraAdapter, requireFactorShape } from "../adapter.ts";
import { adaptedModules, isTarget, targetModulesOf } from "../targets.ts";
import type { PeftConfig } from "./peft-config.ts";

const prefix = "base_model.model.";
const factorName = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;

/** The tensors of `adapter_model.safetensors`, f32, named as PEFT names them. */
export async function peftTensors(adapter: LoraAdapter): Promise<readonly TensorToWrite[]> {
  const values = await adapter.values();
  const { rank } = adapter.config;
  return adapter.modules.flatMap(({ name, inputs, outputs }) => {
    const pair = values.get(name);
    const at = `${prefix}${name}`;
    return [
      {
        name: `${at}.lora_A.weight`,
        dtype: "f32",
        shape: [rank, inputs],
        bytes: pair?.a ?? new Float32Array(),
      },
      {
        name: `${at}.lora_B.weight`,
        dtype: "f32",
        shape: [outputs, rank],
        bytes: pair?.b ?? new Float32Array(),
      },
    ] as const;
  });
}

/**
 * Reads the factors of an adapter that {@link peftTensors} or PEFT wrote, in f32, f16 or bf16.
 *
 * @throws ConfigError `ADAPTER_UNSUPPORTED` for a configuration that names modules other than linear layers of blocks,
 *   `ADAPTER_TARGETS` for one that names none of the model's; FormatError `ADAPTER_WEIGHTS` for tensors other than factors of the
 *   model's linear layers, or one factor without the other; `ADAPTER_NOT_FINITE`; MismatchError `ADAPTER_MODULES`, ShapeError
 *   `ADAPTER_SHAPE` where weights, configuration and model differ
 */
export async function readPeftWeights(
  store: TensorStore,
  config: PeftConfig,
  model: AdaptedModel,
  signal?: AbortSignal,
): Promise<LoraAdapter> {
  const found = factorsIn(store, model.config);
  const full = parseAdapterConfig({ ...config, ...chosenModules(config, model, found) });
  const read = [...found].map(async ([name, { module, stem }]) => {
    const factor = async (letter: "A" | "B"): Promise<Float32Array> => {
      const key = `${stem}.lora_${letter}.weight`;
      const { inputs, outputs } = module;
      const shape = letter === "A" ? [full.rank, inputs] : [outputs, full.rank];
      requireFactorShape(key, store.info(key).shape, shape);
      const values = await store.readFloats(key, { signal });
      if (values.every((value) => Number.isFinite(value))) return values;
      throw new FormatError({
        code: "ADAPTER_NOT_FINITE",
        message: `tensor "${key}" holds NaN or infinity`,
        fix: "get the adapter again, or train it with a smaller learning rate",
        where: store.name,
      });
    };
    return [name, { a: await factor("A"), b: await factor("B") }] as const;
  });
  return new LoraAdapter(model, full, new Map(await Promise.all(read)));
}

/** A linear layer of the model that the file has factors for. */
interface FoundModule {
  readonly module: LinearLayer;
  /** What the names of its two tensors begin with. */
  readonly stem: string;
}

/** By the model's names, which linear layers the file has factors for. */
function factorsIn(store: TensorStore, model: ModelConfig): ReadonlyMap<string, FoundModule> {
  const known = new Map(
    linearLayers(model).flatMap((module) =>
      [module.name, ...module.aliases].map((name) => [name, module] as const),
    ),
  );
  const letters = new Map<string, string>();
  const found = new Map<string, FoundModule>();
  const strange: string[] = [];
  for (const key of store.names()) {
    const [, name = "", letter = ""] = factorName.exec(key) ?? [];
    const module = known.get(name);
    if (module === undefined) {
      strange.push(key);
      continue;
    }
    letters.set(name, (letters.get(name) ?? "") + letter);
    found.set(module.name, { module, stem: prefix + name });
  }
  const single = [...letters].filter(([, both]) => both !== "AB" && both !== "BA");
  if (strange.length > 0 || single.length > 0 || letters.size === 0) {
    const what =
      strange.length > 0
        ? `the file has ${strange.slice(0, 3).join(", ")}, which are not LoRA factors of linear layers in the blocks of a ${model.architecture} model of ${model.layers} layers`
        : letters.size === 0
          ? "the file has no LoRA factors"
          : `${single[0]?.[0] ?? ""} has only one of lora_A and lora_B`;
    throw new FormatError({
      code: "ADAPTER_WEIGHTS",
      message: what,
      fix: "give the adapter_model.safetensors of a LoRA on this model, as PEFT saves it",
      where: store.name,
    });
  }
  return found;
}

/** Targets and layers: what the configuration says, or where that is a pattern, what the file has factors for. */
function chosenModules(
  { targetModules, layers }: PeftConfig,
  model: AdaptedModel,
  found: ReadonlyMap<string, FoundModule>,
): Pick<AdapterConfig, "layers" | "targetModules"> {
  if (targetModules === null) {
    const modules = [...found.values()].map(({ module }) => module);
    const own = [...new Set(modules.map(({ layer }) => layer))].sort((a, b) => a - b);
    const ends = modules.map(({ name }) => name.replace(/^.*?\.\d+\./u, ""));
    return { targetModules: shortest(model, [...new Set(ends)], own), layers: layers ?? own };
  }
  const others = otherModules(model.config).filter((name) => isTarget(name, targetModules));
  if (others.length > 0) {
    throw new ConfigError({
      code: "ADAPTER_UNSUPPORTED",
      message: `the adapter changes ${others.slice(0, 3).join(", ")}; supported are ${targetModulesOf(model.config).join(", ")}`,
      fix: "merge this adapter into its model with PEFT (merge_and_unload), and load the merged model",
    });
  }
  return { targetModules: shortest(model, targetModules, layers), layers };
}

/** The last parts of the modules' names in forward order, if they mean the same modules; else the targets as they are. */
function shortest(
  { config }: AdaptedModel,
  targets: readonly string[],
  layers: readonly number[] | null,
): readonly string[] {
  const modules = adaptedModules(config, targets, layers);
  const ends = [...new Set(modules.map(({ target }) => target))];
  return adaptedModules(config, ends, layers).length === modules.length ? ends : targets;
}

/** Modules of a model that are no linear layers of blocks: embeddings, norms, the head. */
function otherModules(config: ModelConfig): readonly string[] {
  const linear = new Set(linearLayers(config).map(({ name }) => name));
  const all = parameterNames(config).map((name) => name.replace(/\.(?:weight|bias)$/u, ""));
  return [...new Set(all)].filter((name) => !linear.has(name));
}
