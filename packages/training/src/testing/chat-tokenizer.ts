import { type Tokenizer, tokenizerFromJson, trainByteLevelBpe } from "@latentkit/loaders";

/** A small byte-level BPE with ChatML marks and a template for them. */
export async function chatTokenizer(): Promise<Tokenizer> {
  const { tokenizerJson, tokenizerConfig } = await trainByteLevelBpe(
    ["hello world, the cat sat on the mat and the dog sat on the world", "user assistant system"],
    {
      vocabularySize: 300,
      specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    },
  );
  return tokenizerFromJson(tokenizerJson, {
    ...tokenizerConfig,
    eos_token: "<|endoftext|>",
    chat_template:
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  });
}
