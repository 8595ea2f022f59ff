import {
  addVector,
  countPenalties,
  type GenerateOptions,
  type LanguageModel,
  logitBias,
} from "@latentkit/models";
import type { AnyRequest } from "../schema/requests.ts";

/** How to generate, as the fields say that both kinds of requests have. Throws ConfigError `SITE_UNKNOWN`. */
export function generationOptions(
  model: LanguageModel,
  request: AnyRequest,
): Omit<GenerateOptions, "prompt" | "messages" | "tokens"> {
  const { latentkit, logit_bias: bias } = request;
  const presence = request.presence_penalty ?? 0;
  const frequency = request.frequency_penalty ?? 0;
  const biases = Object.entries(bias ?? {}).map(
    ([token, value]) => [Number(token), value] as const,
  );
  return {
    // OpenAI's default is the model's own distribution, and ours is greedy.
    temperature: request.temperature ?? 1,
    ...(request.top_p === null || request.top_p === undefined ? {} : { topP: request.top_p }),
    ...(latentkit?.top_k === undefined ? {} : { topK: latentkit.top_k }),
    ...(latentkit?.min_p === undefined ? {} : { minP: latentkit.min_p }),
    samples: request.n ?? 1,
    seed: request.seed ?? Math.floor(Math.random() * 0x7fff_ffff),
    stopStrings: [request.stop ?? []].flat(),
    ignoreEos: latentkit?.ignore_eos ?? false,
    repetitionPenalty: latentkit?.repetition_penalty,
    processors: [
      ...(biases.length === 0 ? [] : [logitBias(new Map(biases))]),
      ...(presence === 0 && frequency === 0 ? [] : [countPenalties({ presence, frequency })]),
    ],
    edits: latentkit?.steer.map(({ site, vector, scale }) => ({
      site: model.site(site).name,
      edit: addVector(Float32Array.from(vector), { scale }),
    })),
  };
}
