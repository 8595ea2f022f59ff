import { ConfigError, MismatchError, Random } from "@latentkit/core";
import { Sha256 } from "@latentkit/loaders";
import { z } from "zod";

/** One turn of a conversation. */
export interface DocumentTurn {
  readonly role: string;
  readonly content: string;
}

/** A text to train on. */
export interface TrainingDocument {
  readonly text: string;
  /** The turns of a conversation, whose roles say what is learned where only some tokens are targets. */
  readonly turns?: readonly DocumentTurn[] | null | undefined;
}

/** An endless sequence of documents that can be left and taken up again. */
export interface DocumentStream {
  /** What tells this stream from others, as plain JSON: a run is resumed only where it is the same. Null by default. */
  readonly identity?: unknown;
  /** The next document. */
  next(): TrainingDocument | Promise<TrainingDocument>;
  /** Where the stream stands, as plain JSON. */
  state(): unknown;
  /** Goes to where a stream with the same contents gave this state. */
  restore(state: unknown): void;
}

/** How {@link documentList} goes through its documents. */
export interface DocumentListOptions {
  /** The order in which the documents come, another one each time through. */
  readonly seed: number;
}

const stateSchema = z.object({
  schemaVersion: z.literal(1),
  documents: z.int().positive(),
  epoch: z.int().nonnegative(),
  index: z.int().nonnegative(),
});

/**
 * Documents in memory, all of them in random order, again and again.
 *
 * @throws ConfigError `DOCUMENTS_EMPTY`; from `restore` MismatchError `DOCUMENTS_STATE` for the state of another list
 */
export function documentList(
  documents: readonly TrainingDocument[],
  { seed }: DocumentListOptions,
): DocumentStream {
  if (documents.length === 0) {
    throw new ConfigError({
      code: "DOCUMENTS_EMPTY",
      message: "there are no documents to train on",
      fix: "give at least one document",
    });
  }
  let [epoch, index] = [0, 0];
  let order = orderOf(epoch);

  function orderOf(number: number): Uint32Array {
    return new Random(seed, number).permutation(documents.length);
  }

  return {
    identity: { documents: hashOf(documents), seed },
    next() {
      if (index === documents.length) {
        [epoch, index] = [epoch + 1, 0];
        order = orderOf(epoch);
      }
      const document = documents[order[index++] ?? 0];
      return document ?? { text: "" }; // the order is a permutation of the documents
    },
    state: () => ({ schemaVersion: 1, documents: documents.length, epoch, index }),
    restore(given) {
      const parsed = stateSchema.safeParse(given);
      if (!parsed.success || parsed.data.documents !== documents.length) {
        throw new MismatchError({
          code: "DOCUMENTS_STATE",
          message: parsed.success
            ? `the state is of a list of ${parsed.data.documents} documents, this one has ${documents.length}`
            : "this is not the state of a list of documents",
          fix: "resume with the documents that the run was started with",
        });
      }
      [epoch, index] = [parsed.data.epoch, parsed.data.index];
      order = orderOf(epoch);
    },
  };
}

function hashOf(documents: readonly TrainingDocument[]): string {
  const hash = new Sha256();
  for (const { text, turns } of documents)
    hash.update(`${JSON.stringify([text, turns ?? null])}\n`);
  return hash.hex();
}
