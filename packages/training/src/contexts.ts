import { ConfigError, MismatchError } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import { z } from "zod";
import { chatTargets, type LabelledTokens } from "./chat-targets.ts";
import type { DocumentStream, TrainingDocument } from "./documents.ts";

/** Target of a position that is not learned from. */
export const ignoredTarget = -100;

/** One row of a batch. */
export interface TrainingContext {
  /** Token ids, `[contextSize]`. */
  readonly inputs: Int32Array;
  /** The token that follows each of them, or -100 where nothing is learned, `[contextSize]`. */
  readonly targets: Int32Array;
}

/** An endless sequence of contexts that can be left and taken up again. */
export interface ContextStream {
  readonly contextSize: number;
  /** What a resumed run must have in common, as plain JSON: the documents, the tokenizer, and how contexts are cut. */
  readonly identity: unknown;
  next(): Promise<TrainingContext>;
  /** Where the stream stands, documents included, as plain JSON. */
  state(): unknown;
  restore(state: unknown): void;
}

/** How {@link tokenContexts} makes contexts. */
export interface TokenContextsOptions {
  readonly tokenizer: Tokenizer;
  readonly documents: DocumentStream;
  /** Positions of a context. */
  readonly contextSize: number;
  /** The token in front of each document; the tokenizer's BOS, or else its EOS, by default. */
  readonly textStart?: number | undefined;
  /**
   * `"all"` (the default): documents follow each other and are cut anywhere, and every token is a target once. `"assistant"`: of
   * conversations only the assistant's words are targets; contexts hold whole documents, as many as fit, and are filled up.
   */
  readonly targets?: "all" | "assistant" | undefined;
}

/** Documents without a target in a row after which there seem to be none at all. */
const patience = 10_000;

const stateSchema = z.object({
  schemaVersion: z.literal(1),
  documents: z.unknown(),
  ids: z.array(z.int().nonnegative()),
  labels: z.array(z.int()),
});

/**
 * Turns documents into contexts of training tokens: each document's tokens with `textStart` in front.
 *
 * @throws ConfigError `CONTEXT_SIZE`, `TEXT_START`; from `next` `CONTEXTS_NO_TARGETS` where nothing is a target, and what the
 *   documents and the chat template throw; from `restore` MismatchError `CONTEXTS_STATE`
 */
export function tokenContexts(options: TokenContextsOptions): ContextStream {
  const { tokenizer, documents, contextSize, targets: mode = "all" } = options;
  const textStart = textStartOf(options);
  // Tokens that no context has used up; labels say which are targets. In the mode of whole documents: the next document.
  let ids: number[] = [];
  let labels: number[] = [];

  const append = ({ ids: added, targets }: LabelledTokens): void => {
    for (let token = 0; token < added.length; token++) {
      ids.push(added[token] ?? 0);
      labels.push(targets[token] ?? 0);
    }
  };

  async function packed(): Promise<TrainingContext> {
    while (ids.length <= contextSize)
      append(encodeAll(await documents.next(), tokenizer, textStart));
    const context = contextOf(ids, labels, contextSize, textStart);
    // The last token was only a target; it is the first input of the next context.
    ids = ids.slice(contextSize);
    labels = labels.slice(contextSize);
    return context;
  }

  async function whole(): Promise<TrainingContext> {
    const used: { ids: number[]; labels: number[] } = { ids: [], labels: [] };
    for (let passed = 0; passed < patience; passed++) {
      if (ids.length === 0) {
        const document = encodeAssistant(await documents.next(), tokenizer, textStart);
        const end = Math.min(document.ids.length, contextSize + 1);
        append({ ids: document.ids.subarray(0, end), targets: document.targets.subarray(0, end) });
        if (!labels.includes(1)) [ids, labels] = [[], []];
        if (ids.length === 0) continue;
      }
      if (used.ids.length + ids.length > contextSize + 1)
        return contextOf(used.ids, used.labels, contextSize, textStart);
      used.ids.push(...ids);
      used.labels.push(...labels);
      [ids, labels] = [[], []];
      passed = 0;
    }
    throw new ConfigError({
      code: "CONTEXTS_NO_TARGETS",
      message: `${patience} documents in a row have no token to learn`,
      fix: "give conversations with turns of the role assistant that begin within the context, or train on all tokens",
    });
  }

  return {
    contextSize,
    identity: {
      tokenizer: tokenizer.identity,
      contextSize,
      textStart,
      targets: mode,
      documents: documents.identity ?? null,
    },
    next: mode === "all" ? packed : whole,
    state: () => ({
      schemaVersion: 1,
      documents: documents.state(),
      ids: [...ids],
      labels: [...labels],
    }),
    restore(given) {
      const parsed = stateSchema.safeParse(given);
      if (!parsed.success || parsed.data.ids.length !== parsed.data.labels.length) {
        throw new MismatchError({
          code: "CONTEXTS_STATE",
          message: "this is not the state of a stream of contexts",
          fix: "resume from a checkpoint of this kind of stream",
        });
      }
      documents.restore(parsed.data.documents);
      ids = parsed.data.ids;
      labels = parsed.data.labels;
    },
  };
}

function encodeAll(
  { text }: TrainingDocument,
  tokenizer: Tokenizer,
  textStart: number,
): LabelledTokens {
  const { ids } = tokenizer.encode(text);
  return withStart({ ids, targets: new Uint8Array(ids.length).fill(1) }, textStart, 1);
}

/** Running text is learned as a whole; where a document starts is nothing that an answer should predict. */
function encodeAssistant(
  { text, turns }: TrainingDocument,
  tokenizer: Tokenizer,
  textStart: number,
): LabelledTokens {
  if (turns === null || turns === undefined || turns.length === 0) {
    const { ids } = tokenizer.encode(text);
    return withStart({ ids, targets: new Uint8Array(ids.length).fill(1) }, textStart, 0);
  }
  const labelled = chatTargets(tokenizer, turns);
  return labelled.ids[0] === textStart ? labelled : withStart(labelled, textStart, 0);
}

function withStart({ ids, targets }: LabelledTokens, start: number, label: number): LabelledTokens {
  return { ids: Int32Array.from([start, ...ids]), targets: Uint8Array.from([label, ...targets]) };
}

function contextOf(
  ids: readonly number[],
  labels: readonly number[],
  contextSize: number,
  filler: number,
): TrainingContext {
  const inputs = new Int32Array(contextSize).fill(filler);
  const targets = new Int32Array(contextSize).fill(ignoredTarget);
  for (let position = 0; position < contextSize; position++) {
    inputs[position] = ids[position] ?? filler;
    const target = ids[position + 1];
    if (target !== undefined && labels[position + 1] === 1) targets[position] = target;
  }
  return { inputs, targets };
}

function textStartOf({ contextSize, textStart, tokenizer }: TokenContextsOptions): number {
  if (!Number.isSafeInteger(contextSize) || contextSize < 1) {
    throw new ConfigError({
      code: "CONTEXT_SIZE",
      message: `a context of ${contextSize} positions was asked for`,
      fix: "give a positive integer, at most what the model was made for",
    });
  }
  const { bos, eos } = tokenizer.specialTokens;
  const start = textStart ?? bos ?? eos;
  if (start !== null && Number.isInteger(start) && start >= 0 && start < tokenizer.vocabularySize)
    return start;
  throw new ConfigError({
    code: "TEXT_START",
    message:
      start === null
        ? "the tokenizer has neither a BOS nor an EOS token to put in front of documents"
        : `the text-start token ${start} is not in the vocabulary of ${tokenizer.vocabularySize}`,
    fix: "give textStart, the id of the token that begins a text",
  });
}
