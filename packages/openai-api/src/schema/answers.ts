import { z } from "zod";

const usage = z.looseObject({
  prompt_tokens: z.number().default(0),
  completion_tokens: z.number().default(0),
});

const message = z.looseObject({
  content: z.string().nullish(),
  // As vLLM and llama.cpp, and as OpenRouter, name what a model says to itself.
  reasoning_content: z.string().nullish(),
  reasoning: z.string().nullish(),
});

/** What a client reads of the answer to a chat request; servers send more. */
export const chatAnswerSchema = z.looseObject({
  model: z.string().optional(),
  choices: z.array(z.looseObject({ message, finish_reason: z.string().nullish() })).min(1),
  usage: usage.nullish(),
});

/** An error as servers send it, with any status, 200 included. */
export const errorAnswerSchema = z.looseObject({
  error: z.union([
    z.string(),
    z.looseObject({ message: z.string(), code: z.union([z.string(), z.number()]).nullish() }),
  ]),
});
