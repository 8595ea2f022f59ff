import { type Tokenizer, tokenizerFromJson } from "@latentkit/loaders";
import tokenizers from "../../../loaders/src/__fixtures__/small-tokenizers.json" with { type: "json" };

/** A byte-level BPE of 603 tokens with ChatML marks and a template for them. */
export function chatTokenizer(): Tokenizer {
  return tokenizerFromJson(tokenizers.byte_level.tokenizer, {
    eos_token: "<|endoftext|>",
    chat_template:
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  });
}
