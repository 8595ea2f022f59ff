import { FormatError } from "@latentkit/core";
import type { TensorStore, TensorToWrite } from "@latentkit/loaders";
import { parseAdapterConfig } from "../adapter-config.ts";
import { type AdaptedModel, LoraAdapter, requireFactorShape } from "../adapter.ts";
import { adaptedModules, targetModules } from "../targets.ts";
import type { PeftConfig } from "./peft-config.ts";

const prefix = "base_model.model.";
const factorName = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;
const moduleName = /^model\.layers\.(\d+)\.(?:self_attn|mlp)\.((?:q|k|v|o|gate|up|down)_proj)$/;

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
 * @throws FormatError `ADAPTER_WEIGHTS` for tensors other than factors of a block's linear layers, or one factor without the other;
 *   `ADAPTER_NOT_FINITE`; MismatchError `ADAPTER_MODULES`, ShapeError `ADAPTER_SHAPE` where weights, configuration and model differ
 */
export async function readPeftWeights(
  store: TensorStore,
  config: PeftConfig,
  model: AdaptedModel,
  signal?: AbortSignal,
): Promise<LoraAdapter> {
  const found = modulesIn(store);
  const full = parseAdapterConfig({
    ...config,
    targetModules: config.targetModules ?? targetModules.filter((name) => found.targets.has(name)),
    layers: config.layers ?? (config.targetModules === null ? found.layers : null),
  });
  const sizes = new Map(
    adaptedModules(model.config, full.targetModules, full.layers).map((module) => [
      module.name,
      module,
    ]),
  );
  const read = found.names.map(async (name) => {
    const module = sizes.get(name);
    const factor = async (letter: "A" | "B"): Promise<Float32Array> => {
      const key = `${prefix}${name}.lora_${letter}.weight`;
      if (module !== undefined)
        requireFactorShape(
          key,
          store.info(key).shape,
          letter === "A" ? [full.rank, module.inputs] : [module.outputs, full.rank],
        );
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

/** Which linear layers the file has factors for. */
function modulesIn(store: TensorStore): {
  readonly names: readonly string[];
  readonly targets: ReadonlySet<string>;
  readonly layers: readonly number[];
} {
  const letters = new Map<string, string>();
  const targets = new Set<string>();
  const layers = new Set<number>();
  const strange: string[] = [];
  for (const key of store.names()) {
    const [, name = "", letter = ""] = factorName.exec(key) ?? [];
    const [, layer, target = ""] = moduleName.exec(name) ?? [];
    if (layer === undefined) {
      strange.push(key);
      continue;
    }
    letters.set(name, (letters.get(name) ?? "") + letter);
    targets.add(target);
    layers.add(Number(layer));
  }
  const single = [...letters].filter(([, both]) => both !== "AB" && both !== "BA");
  if (strange.length > 0 || single.length > 0 || letters.size === 0) {
    const what =
      strange.length > 0
        ? `the file has ${strange.slice(0, 3).join(", ")}, which are not LoRA factors of a block's linear layers`
        : letters.size === 0
          ? "the file has no LoRA factors"
          : `${single[0]?.[0] ?? ""} has only one of lora_A and lora_B`;
    throw new FormatError({
      code: "ADAPTER_WEIGHTS",
      message: what,
      fix: "give the adapter_model.safetensors of a LoRA on a Llama-family model, as PEFT saves it",
      where: store.name,
    });
  }
  return { names: [...letters.keys()], targets, layers: [...layers].sort((a, b) => a - b) };
}
