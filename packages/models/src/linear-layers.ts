import type { ModelConfig } from "./config.ts";
import { families } from "./families/index.ts";

/** A linear layer of a block. */
export interface LinearLayer {
  /** As Hugging Face names it, for example `model.layers.0.self_attn.q_proj`: its weight is `NAME.weight`, its bias `NAME.bias`. */
  readonly name: string;
  /** What other checkpoints of the family call it. */
  readonly aliases: readonly string[];
  readonly layer: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Whether the parameter is `[inputs, outputs]`, as of GPT-2's `Conv1D`, instead of `[outputs, inputs]`. */
  readonly transposed: boolean;
}

/**
 * The linear layers of a model's blocks, layer by layer in the order of the checkpoint. A matrix that the family stores for several
 * projections, such as GPT-2's `c_attn` and GPT-NeoX's `query_key_value`, is one layer.
 */
export function linearLayers(config: ModelConfig): readonly LinearLayer[] {
  return families[config.architecture].parameters(config).flatMap((spec) => {
    const [, name = "", layer] = weightOfBlock.exec(spec.name) ?? [];
    const [rows, columns] = spec.shape;
    if (layer === undefined || rows === undefined || columns === undefined) return [];
    const transposed = spec.transposed ?? false;
    const [inputs, outputs] = transposed ? [rows, columns] : [columns, rows];
    const aliases = (spec.aliases ?? []).map((alias) => alias.replace(/\.weight$/u, ""));
    return [{ name, aliases, layer: Number(layer), inputs, outputs, transposed }];
  });
}

/** The Hugging Face names of all parameters of a model, without its weights. A tied unembedding is among them. */
export function parameterNames(config: ModelConfig): readonly string[] {
  return families[config.architecture].parameters(config).map(({ name }) => name);
}

/** Blocks are numbered in the names of their parameters, and of these only linear layers' weights have two axes. */
const weightOfBlock = /^(.+\.(\d+)\..+)\.weight$/u;
