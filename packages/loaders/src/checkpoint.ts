import { MismatchError } from "@latentkit/core";
import type { TensorStore } from "./tensor-store.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

/** A model on disk: its configuration, weights and tokenizer under Hugging Face's names, whatever the file format. */
export interface Checkpoint {
  /** Folder or file name, without its path or ending. */
  readonly name: string;
  readonly format: "safetensors" | "gguf";
  /** The object of `config.json`; for GGUF one made from the metadata, with the same keys. Not validated: models do that. */
  readonly config: unknown;
  /** Hugging Face names (`model.layers.0.self_attn.q_proj.weight`) and row order, for GGUF too. */
  readonly tensors: TensorStore;
  /** Null where the folder has no `tokenizer.json`. */
  readonly tokenizer: Tokenizer | null;
  /**
   * SHA-256 over all tensors in the order of their names: name, format, shape and bytes. It does not depend on how they are
   * spread over files. Read once, then remembered.
   */
  weightsHash(signal?: AbortSignal): Promise<string>;
  /** Closes the files. Whoever opened the checkpoint calls it. */
  close(): Promise<void>;
}

/**
 * Throws {@link MismatchError} `TOKENIZER_TOO_LARGE` if the tokenizer can give ids that the model's embedding has no row for.
 * More rows than tokens are fine: embeddings are often padded.
 */
export function checkTokenizerFits(
  tokenizer: Tokenizer,
  vocabularySize: number,
  where?: string,
): void {
  if (tokenizer.vocabularySize <= vocabularySize) return;
  throw new MismatchError({
    code: "TOKENIZER_TOO_LARGE",
    message: `the tokenizer has ${tokenizer.vocabularySize} tokens, but the model's vocabulary holds ${vocabularySize}`,
    fix: "use the tokenizer that came with the model",
    where,
  });
}
