import { floatBytes, writeGguf } from "./write-gguf.ts";
import type { GgufTensorToWrite, GgufToWrite, ValueToWrite } from "./write-gguf.ts";
import { byteToCharacter } from "../tokenizer/byte-level.ts";

/** Sizes of the model below: two query heads over one key and value head of four. */
export const tinySizes = { hidden: 8, heads: 2, kvHeads: 1, headWidth: 4, mlp: 12, context: 32 } as const;

/** The vocabulary: three control tokens, all bytes, two merges. */
export const tinyTokens: readonly string[] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", ...byteToCharacter, "he", "hel"];

/** Metadata and tensors of a Llama with one layer, in F32, whose values count up from the first. */
export function tinyLlama(): { metadata: (readonly [string, ValueToWrite])[]; tensors: GgufTensorToWrite[] } {
  const { hidden, heads, kvHeads, headWidth, mlp, context } = tinySizes;
  const metadata: (readonly [string, ValueToWrite])[] = [
    ["general.architecture", "llama"],
    ["llama.block_count", 1],
    ["llama.context_length", context],
    ["llama.embedding_length", hidden],
    ["llama.feed_forward_length", mlp],
    ["llama.attention.head_count", heads],
    ["llama.attention.head_count_kv", kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", 1e-5],
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "smollm"],
    ["tokenizer.ggml.tokens", tinyTokens],
    ["tokenizer.ggml.token_type", tinyTokens.map((_, id) => (id < 3 ? 3 : 1))],
    ["tokenizer.ggml.merges", ["h e", "he l"]],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
  ];
  const shapes: readonly (readonly [string, readonly number[]])[] = [
    ["token_embd.weight", [tinyTokens.length, hidden]],
    ["blk.0.attn_norm.weight", [hidden]],
    ["blk.0.attn_q.weight", [heads * headWidth, hidden]],
    ["blk.0.attn_k.weight", [kvHeads * headWidth, hidden]],
    ["blk.0.attn_v.weight", [kvHeads * headWidth, hidden]],
    ["blk.0.attn_output.weight", [hidden, heads * headWidth]],
    ["blk.0.ffn_norm.weight", [hidden]],
    ["blk.0.ffn_gate.weight", [mlp, hidden]],
    ["blk.0.ffn_up.weight", [mlp, hidden]],
    ["blk.0.ffn_down.weight", [hidden, mlp]],
    ["output_norm.weight", [hidden]],
  ];
  let next = 0;
  const tensors = shapes.map(([name, shape]) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    return { name, shape, type: 0, bytes: floatBytes(Array.from({ length: size }, () => next++)) };
  });
  return { metadata, tensors };
}

/** The file, with metadata replaced or, where the value is null, left out. */
export function tinyLlamaFile(changes: Readonly<Record<string, ValueToWrite | null>> = {}, options: Partial<GgufToWrite> = {}): Uint8Array<ArrayBuffer> {
  const { metadata, tensors } = tinyLlama();
  const kept = metadata.filter(([key]) => !(key in changes));
  for (const [key, value] of Object.entries(changes)) if (value !== null) kept.push([key, value]);
  return writeGguf({ metadata: kept, tensors, ...options });
}
