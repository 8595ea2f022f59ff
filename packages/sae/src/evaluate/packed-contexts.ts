import {
  defaultPacking,
  packDocuments,
  type PackingPolicy,
  type TextDocument,
} from "@latentkit/activations";
import { ConfigError, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { SpliceContext } from "./context-batch.ts";

/** How {@link packedContexts} cuts text. */
export interface PackedContextsOptions {
  /** Over the default packing; contexts are never longer than the model's. */
  readonly packing?: Partial<PackingPolicy> | undefined;
  /** Stop before there are more tokens than this. */
  readonly maximumTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A context with the name of its document. */
export interface PackedContext extends SpliceContext {
  readonly documentId: string;
}

/**
 * Documents as contexts for measuring, cut as harvest cuts them. Their tokens are in memory at once.
 *
 * @throws ConfigError `TOKENIZER_MISSING`, `EVALUATION_TEXT` where no document is long enough; what packing throws; AbortedError
 */
export async function packedContexts(
  model: LanguageModel,
  documents: AsyncIterable<TextDocument> | Iterable<TextDocument>,
  options: PackedContextsOptions = {},
): Promise<PackedContext[]> {
  const { tokenizer } = model;
  if (tokenizer === null) {
    throw new ConfigError({
      code: "TOKENIZER_MISSING",
      message: "the model has no tokenizer, so text cannot become tokens",
      fix: "put the model's tokenizer.json beside its weights",
      where: model.name,
    });
  }
  const { maximumTokens = Number.POSITIVE_INFINITY, signal } = options;
  const contextSize = Math.min(
    options.packing?.contextSize ?? defaultPacking.contextSize,
    model.config.contextSize,
  );
  const minimumTokens = Math.min(defaultPacking.minimumTokens, contextSize);
  const policy = { ...defaultPacking, minimumTokens, ...options.packing, contextSize };
  const contexts: PackedContext[] = [];
  let tokens = 0;
  for await (const context of packDocuments(tokenizer, documents, policy)) {
    throwIfAborted(signal);
    if (tokens + context.length > maximumTokens) break;
    tokens += context.length;
    const { length, document, documentId } = context;
    contexts.push({ tokens: context.tokens, length, document, documentId });
    if (contexts.length % 256 === 0) await yieldToEventLoop();
  }
  if (contexts.length === 0) {
    throw new ConfigError({
      code: "EVALUATION_TEXT",
      message: `the text gave no context of at least ${policy.minimumTokens} tokens${Number.isFinite(maximumTokens) ? ` within ${maximumTokens} tokens` : ""}`,
      fix: "give longer documents, or allow more tokens",
    });
  }
  return contexts;
}
