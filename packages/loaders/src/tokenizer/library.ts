import { Tokenizer } from "@huggingface/tokenizers";
import { definitionError } from "./definition.ts";
import type { TokenizerComponent } from "./definition.ts";

// The library's declarations do not resolve under "nodenext" (its imports lack extensions), so what is used of it is declared here.

/** The model of a tokenizer: vocabulary, and merges or scores. */
export interface LibraryModel {
  readonly unk_token_id?: number | undefined;
  /** The tokens of pieces. */
  _call(pieces: readonly string[]): readonly string[];
}

/** A tokenizer of `@huggingface/tokenizers`. */
export interface LibraryTokenizer {
  readonly model: LibraryModel;
  readonly normalizer: { normalize(text: string): string } | null;
  readonly pre_tokenizer: { readonly pattern?: RegExp | null } | null;
  readonly post_processor: {
    post_process(
      tokens: readonly string[],
      pair: null,
      addSpecialTokens: boolean,
    ): { readonly tokens: readonly string[] };
  } | null;
  decode(ids: readonly number[], options: object): string;
}

const empty = {
  model: { type: "BPE", vocab: {}, merges: [] },
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
};

/** Builds a tokenizer of `@huggingface/tokenizers`; what it throws becomes a `FormatError`. */
export function makeLibraryTokenizer(definition: object, settings: object): LibraryTokenizer {
  try {
    return new Tokenizer(definition, settings);
  } catch (cause) {
    throw definitionError(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** One normaliser by itself, as the library implements it. */
export function libraryNormalizer(component: TokenizerComponent): (text: string) => string {
  const { normalizer } = makeLibraryTokenizer({ ...empty, normalizer: component }, {});
  if (normalizer === null) throw definitionError(`there is no normaliser "${component.type}"`);
  return (text) => normalizer.normalize(text);
}

/** What the post-processor puts before and after a text, found by letting it work on a mark. */
export function libraryTokensAround(component: TokenizerComponent | null): {
  readonly before: readonly string[];
  readonly after: readonly string[];
} {
  const { post_processor } = makeLibraryTokenizer({ ...empty, post_processor: component }, {});
  if (post_processor === null) return { before: [], after: [] };
  const mark = "\u0000text\u0000";
  const { tokens } = post_processor.post_process([mark], null, true);
  const at = tokens.indexOf(mark);
  return { before: tokens.slice(0, Math.max(0, at)), after: tokens.slice(at + 1) };
}

/** The pattern of a Split pre-tokenizer, turned from the reference's dialect (Oniguruma) into JavaScript's. */
export function libraryPattern(component: TokenizerComponent): RegExp {
  const { pre_tokenizer } = makeLibraryTokenizer(
    { ...empty, pre_tokenizer: { ...component, invert: true } },
    {},
  );
  const pattern = pre_tokenizer?.pattern;
  if (pattern instanceof RegExp && pattern.source !== "(?:)")
    return new RegExp(pattern.source, "gu");
  throw definitionError("a Split pre-tokenizer has neither a String nor a Regex to look for");
}
