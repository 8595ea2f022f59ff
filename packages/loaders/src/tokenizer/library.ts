import { Tokenizer } from "@huggingface/tokenizers";
import { definitionError } from "./definition.ts";
import { prepareOniguruma } from "./oniguruma.ts";

// The library's declarations do not resolve under "nodenext" (its imports lack extensions), so what is used of it is declared here.

interface LibraryTokenizer {
  readonly pre_tokenizer: { readonly pattern?: RegExp | null } | null;
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
function makeLibraryTokenizer(definition: object, settings: object): LibraryTokenizer {
  try {
    return new Tokenizer(definition, settings);
  } catch (cause) {
    throw definitionError(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** A pattern, turned from the reference's dialect (Oniguruma) into JavaScript's with the flags `gu`. */
export function libraryPattern(regex: string): RegExp {
  const split = {
    type: "Split",
    pattern: { Regex: prepareOniguruma(regex) },
    behavior: "Isolated",
    invert: true,
  };
  const { pre_tokenizer } = makeLibraryTokenizer({ ...empty, pre_tokenizer: split }, {});
  const pattern = pre_tokenizer?.pattern;
  if (pattern instanceof RegExp) return new RegExp(pattern.source, "gu");
  throw definitionError(`the pattern ${regex} is no regular expression`);
}
