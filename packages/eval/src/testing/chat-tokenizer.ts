// Bytes, and the marks of ChatML.
import { type Tokenizer, tokenizerFromJson } from "@latentkit/loaders";

/** How byte-level tokenizers write bytes: printable ones as themselves, the others from U+0100 on. */
function byteCharacters(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(printable(byte) ? byte : next++),
  );
}

/** A tokenizer of bytes with ChatML's marks, from 256 on. */
export function chatTokenizer(): Tokenizer {
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  const marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
  return tokenizerFromJson(
    {
      version: "1.0",
      added_tokens: marks.map((content, index) => ({
        id: 256 + index,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: "BPE",
        vocab: Object.fromEntries(byteCharacters().map((character, byte) => [character, byte])),
        merges: [],
      },
    },
    {
      eos_token: "<|im_end|>",
      chat_template:
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    },
  );
}
