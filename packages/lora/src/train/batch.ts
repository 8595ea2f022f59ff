import { ConfigError, Random } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import { chatTargets, type DocumentTurn } from "@latentkit/training";

/** The target of positions that do not count. */
export const noTarget: number = -100;

/** Sequences of one length, with what is to come after each position. */
export interface AdapterBatch {
  /** Token ids, one row a sequence. */
  readonly tokens: readonly ArrayLike<number>[];
  /** For each position the token that should follow, or {@link noTarget}. */
  readonly targets: readonly ArrayLike<number>[];
}

/**
 * Gives batch number `index`, counted from 0 over all micro-batches. The same number must give the same batch: then a run depends on
 * nothing else.
 */
export type BatchSource = (index: number) => AdapterBatch;

/** One sequence of {@link AdapterBatch}. */
export interface AdapterExample {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
}

/**
 * A conversation as a training example: every token of the assistant's turns is a target, but for the marks that open them, and nothing
 * else is (see `chatTargets` of `@latentkit/training`).
 *
 * @param maxLength longer conversations are cut at the end
 * @throws ConfigError as `renderChat`, and `EXAMPLE_EMPTY` where no target is left
 */
export function chatExample(
  tokenizer: Tokenizer,
  messages: readonly DocumentTurn[],
  { maxLength = Number.POSITIVE_INFINITY }: { readonly maxLength?: number | undefined } = {},
): AdapterExample {
  const { ids, targets: counted } = chatTargets(tokenizer, messages);
  const length = Math.max(0, Math.min(ids.length - 1, maxLength));
  const targets = Int32Array.from({ length }, (_, at) =>
    counted[at + 1] === 1 ? (ids[at + 1] ?? noTarget) : noTarget,
  );
  if (targets.every((target) => target === noTarget)) {
    throw new ConfigError({
      code: "EXAMPLE_EMPTY",
      message: `a conversation of ${messages.length} messages has no token of the assistant among its first ${length}`,
      fix: "end conversations with the assistant's turn, and leave room for it",
    });
  }
  return { tokens: ids.slice(0, length), targets };
}

/** How {@link exampleBatches} draws. */
export interface ExampleBatchesOptions {
  readonly batchSize: number;
  readonly seed: number;
  /** What short rows are filled with; ignored by the loss. 0 by default. */
  readonly padding?: number | undefined;
}

/**
 * Batches of examples in random order, every example once in each pass over them. Batch `i` depends on the seed and `i` alone.
 *
 * @throws ConfigError `EXAMPLES_NONE`
 */
export function exampleBatches(
  examples: readonly AdapterExample[],
  { batchSize, seed, padding = 0 }: ExampleBatchesOptions,
): BatchSource {
  if (examples.length === 0 || !Number.isInteger(batchSize) || batchSize < 1) {
    throw new ConfigError({
      code: "EXAMPLES_NONE",
      message: `batches of ${batchSize} were asked of ${examples.length} examples`,
      fix: "give at least one example, and a batch size of at least 1",
    });
  }
  let known: { readonly pass: number; readonly order: Uint32Array } | null = null;
  const orderOf = (pass: number): Uint32Array => {
    if (known?.pass !== pass)
      known = { pass, order: new Random(seed, pass).permutation(examples.length) };
    return known.order;
  };
  return (index) => {
    const rows = Array.from({ length: batchSize }, (_, row) => {
      const at = index * batchSize + row;
      const order = orderOf(Math.floor(at / examples.length));
      return examples[order[at % examples.length] ?? 0];
    }).filter((example) => example !== undefined);
    const length = Math.max(...rows.map(({ tokens }) => tokens.length));
    const filled = (values: Int32Array, filler: number): Int32Array => {
      const row = new Int32Array(length).fill(filler);
      row.set(values);
      return row;
    };
    return {
      tokens: rows.map(({ tokens }) => filled(tokens, padding)),
      targets: rows.map(({ targets }) => filled(targets, noTarget)),
    };
  };
}
