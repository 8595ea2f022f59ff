import type { TextDocument } from "@latentkit/activations";

/** The text of a suite. It is read once for every site of every layer. */
export interface SuiteDocuments {
  /**
   * What the text is, as JSON: hashes of files, or a generator's settings. Results of another identity are not taken for results of
   * this one.
   */
  readonly identity: unknown;
  /** Starts from the first document, each time the same ones. */
  open(): AsyncIterable<TextDocument> | Iterable<TextDocument>;
}
