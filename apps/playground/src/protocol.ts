import { z } from "zod";

/** What the reader may ask to compute on; `"cpu"` is WebAssembly. */
export const deviceChoices = ["auto", "webgpu", "cpu"] as const;

const question = z.strictObject({
  id: z.int(),
  device: z.enum(deviceChoices),
  /** Where the model's files lie: an absolute address. */
  data: z.url(),
  layer: z.int().min(0),
  text: z.string(),
  /** Adds `strength` times the latent's decoder direction to every token's residual stream; null for no steering. */
  steering: z.strictObject({ latent: z.int().min(0), strength: z.number() }).nullable(),
});

const prediction = z.strictObject({
  id: z.int(),
  /** What the token reads as; U+FFFD where it is a part of a character. */
  text: z.string(),
  logit: z.number(),
  /** The softmax of the logits over the whole vocabulary. */
  probability: z.number(),
  /** The same with steering, null without. */
  steered: z.strictObject({ logit: z.number(), probability: z.number() }).nullable(),
});

const reading = z.strictObject({
  device: z.strictObject({
    chosen: z.enum(["cpu", "webgpu"]),
    /** Who multiplies matrices, for example `wgsl (nvidia ...)`. */
    engine: z.string(),
    why: z.string(),
    declined: z.array(z.object({ code: z.string(), why: z.string() })),
  }),
  site: z.string(),
  /** Latents of the SAE. */
  width: z.int(),
  /** Tokens of the text. The token that begins every text is left out: the SAEs were not trained on it. */
  tokens: z.array(
    z.strictObject({
      id: z.int(),
      text: z.string(),
      /** All that are active, the strongest first. */
      active: z.array(z.strictObject({ latent: z.int(), activation: z.number() })),
    }),
  ),
  /** The most probable tokens to come next, with steering or without, the most probable first. */
  next: z.array(prediction),
  /** For all of this, loading aside. */
  milliseconds: z.number(),
});

const reply = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("progress"), id: z.int(), doing: z.string() }),
  z.strictObject({ kind: z.literal("reading"), id: z.int(), reading }),
  z.strictObject({
    kind: z.literal("fault"),
    id: z.int(),
    code: z.string(),
    message: z.string(),
    fix: z.string(),
  }),
]);

/** What the page asks of the worker. Complete in itself: the worker loads what it lacks. */
export type Question = z.infer<typeof question>;
/** A token that may come next. */
export type Prediction = z.infer<typeof prediction>;
/** What the model and an SAE make of a text. */
export type Reading = z.infer<typeof reading>;
/** What the worker answers: any number of `progress`, then one of the others. */
export type Reply = z.infer<typeof reply>;

/** @throws ZodError for what is not a question */
export const parseQuestion = (message: unknown): Question => question.parse(message);
/** @throws ZodError for what is not a reply */
export const parseReply = (message: unknown): Reply => reply.parse(message);
