import { join } from "node:path";
import { LatentkitError } from "@latentkit/core";
import { readJson } from "@latentkit/loaders/node";
import { adapterScale, parsePeftConfig, type PeftConfig } from "@latentkit/lora";
import { openAdapterWeights } from "@latentkit/lora/node";
import { z } from "zod";
import type { Inspection } from "./inspect-path.ts";

/** A folder that PEFT or `saveAdapter` wrote. One that cannot be used here is told all the same, with the reason. */
export async function inspectAdapter(folder: string): Promise<Inspection> {
  const path = join(folder, "adapter_config.json");
  const raw = await readJson(path, z.record(z.string(), z.unknown()));
  const { config, reason } = parsed(raw, path);
  const store = await openAdapterWeights(folder);
  try {
    const sizes = store.names().map((name) => {
      const { shape, format } = store.info(name);
      return { line: `${name}  ${format}  [${shape.join(", ")}]`, size: product(shape) };
    });
    return {
      kind: "adapter",
      facts: {
        method: textOf(raw["peft_type"]),
        "base model": textOf(raw["base_model_name_or_path"]),
        rank: textOf(raw["r"]),
        alpha: textOf(raw["lora_alpha"]),
        ...(config === null ? {} : { scale: adapterScale(config) }),
        "rank-stabilised": textOf(raw["use_rslora"] ?? false),
        "target modules": textOf(raw["target_modules"]),
        layers: textOf(raw["layers_to_transform"] ?? "all"),
        parameters: sizes.reduce((sum, { size }) => sum + size, 0),
        "can be used": reason ?? true,
      },
      tables: [{ title: "tensors", lines: sizes.map(({ line }) => line) }],
    };
  } finally {
    await store.close();
  }
}

function parsed(
  raw: unknown,
  path: string,
): { readonly config: PeftConfig | null; readonly reason: string | null } {
  try {
    return { config: parsePeftConfig(raw, path), reason: null };
  } catch (error) {
    if (LatentkitError.isInstance(error) && error.code === "ADAPTER_UNSUPPORTED")
      return { config: null, reason: `no: ${error.message}` };
    throw error;
  }
}

/** A value of the configuration in a line; lists with commas. */
function textOf(value: unknown): string | number | boolean | null {
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? value
    : null;
}

function product(shape: readonly number[]): number {
  return shape.reduce((size, axis) => size * axis, 1);
}
