import * as z from "zod";
import { type Architecture, architectures, checkConfig, type ModelConfig } from "./config.ts";
import { configInvalid, configUnsupported } from "./config-errors.ts";
import { families } from "./families/index.ts";

/**
 * Reads a Hugging Face `config.json`, as transformers 4 or 5 writes it (or the object that `loaders` makes from GGUF metadata).
 *
 * @param raw the parsed JSON
 * @param where named in errors, for example the checkpoint's path
 * @throws ConfigError `MODEL_UNSUPPORTED` for another architecture or a feature that is not supported, naming both it and what
 *   is supported; `CONFIG_INVALID` for fields that are missing, of the wrong type, or contradict each other
 */
export function parseConfig(raw: unknown, where?: string): ModelConfig {
  const type = typed.safeParse(raw);
  if (!type.success) throw configInvalid("the configuration has no model_type", where);
  const { model_type: name, text_config: text } = type.data;
  if (name in wrapped && text !== undefined) {
    // The tokens that end a text are written outside, and so is how weights are packed.
    const { eos_token_id, quantization_config } = { ...text, ...type.data };
    const inside = { ...text, model_type: wrapped[name], eos_token_id, quantization_config };
    return parseConfig(inside, where);
  }
  const architecture = architectures.find((known) => known === name);
  if (architecture === undefined) {
    throw configUnsupported(`model_type "${name}"`, `model_type ${listed(architectures)}`, where);
  }
  const config = families[architecture].parse(raw, where);
  checkConfig(config, where);
  return config;
}

const typed = z.looseObject({
  model_type: z.string(),
  text_config: z.record(z.string(), z.unknown()).optional(),
});

/** Models of more than text, by the type of the text model inside them, which is read alone. */
const wrapped: Readonly<Record<string, Architecture>> = { gemma3: "gemma3_text" };

function listed(names: readonly Architecture[]): string {
  const quoted = names.map((name) => `"${name}"`);
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}
