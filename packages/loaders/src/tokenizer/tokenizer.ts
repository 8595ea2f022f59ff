/** Token ids of a text, with the characters that each stands for. */
export interface Encoding {
  readonly ids: Int32Array<ArrayBuffer>;
  /**
   * Where each token begins in the text, in UTF-16 code units, so that `text.slice(starts[i], ends[i])` is what token i covers.
   * A token that holds only some bytes of a character covers the whole character; neighbours then share it. Special tokens that
   * were added around the text cover nothing.
   */
  readonly starts: Int32Array<ArrayBuffer>;
  readonly ends: Int32Array<ArrayBuffer>;
}

/** The tokens that steer a model rather than stand for text. */
export interface SpecialTokens {
  readonly bos: number | null;
  readonly eos: number | null;
  readonly pad: number | null;
  /** All special tokens, by their text. */
  readonly all: ReadonlyMap<string, number>;
}

/** How a text is encoded. */
export interface EncodeOptions {
  /** Whether to add what the tokenizer puts around a text, such as BOS. Off unless asked for. */
  readonly addSpecialTokens?: boolean | undefined;
}

/** Text to token ids and back; the ids are those of Hugging Face `tokenizers` on the same definition. */
export interface Tokenizer {
  /** One above the highest id. A model's embedding must have at least as many rows. */
  readonly vocabularySize: number;
  readonly specialTokens: SpecialTokens;
  /** The Jinja template of chats, if there is one. */
  readonly chatTemplate: string | null;
  /** SHA-256 of everything that decides ids and templates. Equal for equal tokenizers, whatever file they came in. */
  readonly identity: string;
  /** Special tokens written out in `text` become those tokens, as in transformers. */
  encode(text: string, options?: EncodeOptions): Encoding;
  decode(
    ids: ArrayLike<number>,
    options?: { readonly skipSpecialTokens?: boolean | undefined },
  ): string;
  /** What one token reads as; U+FFFD where its bytes are not whole characters. */
  tokenText(id: number): string;
  /** The id of a token given by its exact text in the vocabulary or among the added tokens; null if there is none. */
  tokenId(token: string): number | null;
}
