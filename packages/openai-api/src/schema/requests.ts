import { z } from "zod";

const count = z.int().positive();
const stops = z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]);

/** A direction that is added to a site's features at every token, of the prompt and of what is generated. */
const steerSchema = z.strictObject({
  site: z.string(),
  vector: z.array(z.number()).min(1),
  scale: z.number().default(1),
});

/** What this endpoint takes beyond OpenAI's fields. */
const extensionSchema = z.strictObject({
  steer: z.array(steerSchema).default([]),
  top_k: count.optional(),
  min_p: z.number().min(0).max(1).optional(),
  repetition_penalty: z.number().positive().optional(),
  ignore_eos: z.boolean().default(false),
});

const shared = {
  model: z.string().optional(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().positive().max(1).nullish(),
  n: count.max(128).nullish(),
  seed: z.int().nullish(),
  stop: stops.nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  logit_bias: z.record(z.string().regex(/^\d+$/u), z.number().min(-100).max(100)).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  latentkit: extensionSchema.optional(),
  // Without meaning here, and harmless.
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
  service_tier: z.unknown().optional(),
};

const textPart = z.looseObject({ type: z.literal("text"), text: z.string() });

/** A turn of a conversation; of contents in parts only text is taken. */
const messageSchema = z.looseObject({
  role: z.string().min(1),
  content: z.union([z.string(), z.array(textPart).min(1)]),
});

/** Body of `POST /v1/chat/completions`. */
export const chatRequestSchema = z.strictObject({
  ...shared,
  messages: z.array(messageSchema).min(1),
  max_tokens: count.nullish(),
  max_completion_tokens: count.nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: z.looseObject({ type: z.literal("text") }).nullish(),
  tools: z.array(z.unknown()).max(0).nullish(),
  tool_choice: z.enum(["none", "auto"]).nullish(),
});

const tokenRow = z.array(z.int().nonnegative()).min(1);

/** Body of `POST /v1/completions`. */
export const completionRequestSchema = z.strictObject({
  ...shared,
  prompt: z.union([z.string(), z.array(z.string()).min(1), tokenRow, z.array(tokenRow).min(1)]),
  max_tokens: count.nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
  echo: z.literal(false).nullish(),
  suffix: z.null().optional(),
  best_of: z.literal(1).nullish(),
});

/** A parsed {@link chatRequestSchema}. */
export type ChatRequest = z.output<typeof chatRequestSchema>;

/** A parsed {@link completionRequestSchema}. */
export type CompletionRequest = z.output<typeof completionRequestSchema>;

/** What both kinds of request have. */
export type AnyRequest = Pick<ChatRequest, Exclude<keyof typeof shared, "max_tokens">>;
