const gpt2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const singleDigits = {
  type: "Sequence",
  pretokenizers: [{ type: "Digits", individual_digits: true }, gpt2],
};

const splitThenBytes = (regex: string): object => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
});

const words = (digits: string): string =>
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const capitals = String.raw`\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`;
const smalls = String.raw`\p{Ll}\p{Lm}\p{Lo}\p{M}`;
const casedWords =
  String.raw`[^\r\n\p{L}\p{N}]?[${capitals}]*[${smalls}]+|[^\r\n\p{L}\p{N}]?[${capitals}]+[${smalls}]*` +
  String.raw`|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/** How a tokenizer of byte-level BPE cuts text, in the words of `tokenizer.json`. */
export interface GgufPreTokenizer {
  readonly preTokenizer: object;
  readonly normalizer: object | null;
  /** Whether a word that is in the vocabulary is taken whole, whatever the merges say. */
  readonly ignoresMerges: boolean;
  /** Whether llama.cpp puts BOS before a text where the file does not say whether to. */
  readonly bosUnlessTold: boolean;
}

const plain = { normalizer: null, ignoresMerges: false, bosUnlessTold: false };

/** llama.cpp's names for ways of cutting (`tokenizer.ggml.pre`). */
export const ggufPreTokenizers: ReadonlyMap<string, GgufPreTokenizer> = /* @__PURE__ */ makeTable();

function makeTable(): ReadonlyMap<string, GgufPreTokenizer> {
  const threeDigits = splitThenBytes(words(String.raw`\p{N}{1,3}`));
  const oneDigit = splitThenBytes(words(String.raw`\p{N}`));
  const taken = { ignoresMerges: true, bosUnlessTold: true };
  const rows: readonly (readonly [names: string, how: GgufPreTokenizer])[] = [
    ["gpt-2 gpt2 mpt olmo jais trillion granite-docling", { ...plain, preTokenizer: gpt2 }],
    [
      "smollm starcoder refact command-r codeshell exaone minerva-7b",
      { ...plain, preTokenizer: singleDigits },
    ],
    ["llama3 llama-v3 llama-bpe", { ...plain, ...taken, preTokenizer: threeDigits }],
    ["dbrx smaug-bpe", { ...plain, preTokenizer: threeDigits }],
    ["qwen2 deepseek-r1-qwen", { ...plain, preTokenizer: oneDigit, normalizer: { type: "NFC" } }],
    ["tekken", { ...plain, ...taken, preTokenizer: splitThenBytes(casedWords) }],
  ];
  return new Map(rows.flatMap(([names, how]) => names.split(" ").map((name) => [name, how])));
}
