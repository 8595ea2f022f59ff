import type { LearnedMerges } from "./learn-merges.ts";
import type { TrainingSettings } from "./options.ts";

/** A special token in a `tokenizer.json`. */
export interface TrainedAddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: false;
  readonly lstrip: false;
  readonly rstrip: false;
  readonly normalized: false;
  readonly special: true;
}

/** What `tokenizer.json` holds for a trained byte-level BPE, in the names and the order of Hugging Face `tokenizers`. */
export interface TrainedTokenizerJson {
  readonly version: "1.0";
  readonly truncation: null;
  readonly padding: null;
  readonly added_tokens: readonly TrainedAddedToken[];
  readonly normalizer: null;
  readonly pre_tokenizer: typeof preTokenizerJson;
  readonly post_processor: null;
  readonly decoder: typeof byteLevelDecoder;
  readonly model: {
    readonly type: "BPE";
    readonly dropout: null;
    readonly unk_token: null;
    readonly continuing_subword_prefix: null;
    readonly end_of_word_suffix: null;
    readonly fuse_unk: false;
    readonly byte_fallback: false;
    readonly ignore_merges: false;
    /** Ids by token. */
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
  };
}

/** What `tokenizer_config.json` holds: what `transformers` has to know beside `tokenizer.json`. */
export interface TrainedTokenizerConfig {
  readonly tokenizer_class: "PreTrainedTokenizerFast";
  readonly bos_token: string | null;
  readonly eos_token: string | null;
  readonly pad_token: string | null;
  readonly clean_up_tokenization_spaces: false;
  /** In tokens; left out where the model does not say. */
  readonly model_max_length?: number;
  readonly chat_template?: string;
}

interface ByteLevelJson {
  readonly type: "ByteLevel";
  readonly add_prefix_space: boolean;
  readonly trim_offsets: boolean;
  readonly use_regex: boolean;
}

interface PreTokenizerJson {
  readonly type: "Sequence";
  readonly pretokenizers: readonly [
    { readonly type: "Digits"; readonly individual_digits: true },
    ByteLevelJson,
  ];
}

const byteLevelDecoder: ByteLevelJson = {
  type: "ByteLevel",
  add_prefix_space: true,
  trim_offsets: true,
  use_regex: true,
};

/** Every digit by itself, so that all years and numbers are spelled alike, and then words as GPT-2 cuts them. */
export const preTokenizerJson: PreTokenizerJson = {
  type: "Sequence",
  pretokenizers: [
    { type: "Digits", individual_digits: true },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  ],
};

/** The object of a `tokenizer.json`. */
export function makeTokenizerJson(
  settings: TrainingSettings,
  learned: LearnedMerges,
): TrainedTokenizerJson {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: settings.specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: preTokenizerJson,
    post_processor: null,
    decoder: byteLevelDecoder,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(learned.tokens.map((token, id) => [token, id])),
      merges: learned.merges,
    },
  };
}

/** The object of a `tokenizer_config.json`. */
export function makeTokenizerConfig(settings: TrainingSettings): TrainedTokenizerConfig {
  const { modelMaximumLength, chatTemplate } = settings;
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: settings.bosToken ?? null,
    eos_token: settings.eosToken ?? null,
    pad_token: settings.padToken ?? null,
    clean_up_tokenization_spaces: false,
    ...(modelMaximumLength === undefined ? {} : { model_max_length: modelMaximumLength }),
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
  };
}
