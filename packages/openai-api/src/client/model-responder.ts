import { ConfigError } from "@latentkit/core";
import { chatPromptTokens, type LanguageModel } from "@latentkit/models";
import type { Reply, Responder } from "./responder.ts";
import { splitReasoning } from "./split-reasoning.ts";

/**
 * A model of this process as a {@link Responder}: all answers from one reading of the conversation. Greedy unless a temperature is
 * given.
 *
 * @throws ConfigError `TOKENIZER_MISSING`
 */
export function modelResponder(model: LanguageModel): Responder {
  const { tokenizer } = model;
  if (tokenizer === null) {
    throw new ConfigError({
      code: "TOKENIZER_MISSING",
      message: `the model ${model.name} has no tokenizer, and conversations are text`,
      fix: "put tokenizer.json beside the weights",
      where: model.name,
    });
  }
  return {
    name: model.name,
    async sample(messages, options = {}) {
      const {
        n = 1,
        temperature = 0,
        topP,
        maxTokens,
        seed = 0,
        stop,
        signal,
        onProgress,
      } = options;
      const texts = Array.from({ length: n }, () => ({ text: "", tokens: 0, finish: "length" }));
      const ids = chatPromptTokens(tokenizer, messages);
      for await (const token of model.generate({
        tokens: ids,
        samples: n,
        temperature,
        ...(topP === undefined ? {} : { topP }),
        maxTokens,
        seed,
        stopStrings: stop,
        signal,
        onProgress,
      })) {
        const text = texts[token.sample];
        if (text === undefined) continue; // there are n
        text.text += token.text;
        text.tokens++;
        text.finish = token.finish ?? text.finish;
      }
      const sent = Object.fromEntries(
        Object.entries({ temperature, top_p: topP, max_tokens: maxTokens, seed, stop }).filter(
          ([, value]) => value !== undefined,
        ),
      );
      return texts.map(({ text, tokens, finish }): Reply => {
        const split = splitReasoning(text);
        return {
          ...split,
          finish,
          usage: { promptTokens: ids.length, completionTokens: tokens },
          model: model.name,
          sent,
        };
      });
    },
  };
}
