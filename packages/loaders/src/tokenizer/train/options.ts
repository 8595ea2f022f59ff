import { ConfigError } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { z } from "zod";
import { byteToCharacter } from "../byte-level.ts";

/** What a tokenizer is trained to be. */
export interface TrainByteLevelBpeOptions extends LongCallOptions {
  /** Tokens in all: special tokens, the 256 bytes and what is learned. Fewer come out where the texts have no more to merge. */
  readonly vocabularySize: number;
  /** Tokens that steer a model, with the ids 0, 1, ... in this order. */
  readonly specialTokens: readonly string[];
  /** A pair that occurs less often than this is not merged; 2 by default. */
  readonly minimumFrequency?: number | undefined;
  /** The special token that begins a text, for `bos_token`. */
  readonly bosToken?: string | undefined;
  /** The special token that ends a text, for `eos_token`. */
  readonly eosToken?: string | undefined;
  /** The special token that fills rows of a batch, for `pad_token`. */
  readonly padToken?: string | undefined;
  /** A Jinja template of chats, for `chat_template`. */
  readonly chatTemplate?: string | undefined;
  /** The longest context of the model that this is for, in tokens, for `model_max_length`. */
  readonly modelMaximumLength?: number | undefined;
}

const optionsSchema = z.object({
  vocabularySize: z.int().max(1_000_000),
  specialTokens: z.array(z.string().min(1)),
  minimumFrequency: z.int().nonnegative().default(2),
  bosToken: z.string().optional(),
  eosToken: z.string().optional(),
  padToken: z.string().optional(),
  chatTemplate: z.string().optional(),
  modelMaximumLength: z.int().positive().optional(),
});

/** The options, checked and with defaults, without the signal and the progress. */
export type TrainingSettings = Readonly<z.infer<typeof optionsSchema>>;

/** Checks the options; throws `ConfigError` `TOKENIZER_TRAINING_OPTIONS` or `TOKENIZER_VOCABULARY_SMALL`. */
export function parseTrainingOptions(options: TrainByteLevelBpeOptions): TrainingSettings {
  const parsed = optionsSchema.safeParse(options);
  if (!parsed.success) throw optionsError(z.prettifyError(parsed.error).replaceAll("\n", " "));
  const settings = parsed.data;
  const { specialTokens, vocabularySize } = settings;
  const twice = specialTokens.find((token, index) => specialTokens.indexOf(token) !== index);
  if (twice !== undefined)
    throw optionsError(`the special token ${JSON.stringify(twice)} is given twice`);
  for (const role of ["bosToken", "eosToken", "padToken"] as const) {
    const token = settings[role];
    if (token !== undefined && !specialTokens.includes(token))
      throw optionsError(`${role} is ${JSON.stringify(token)}, which is no special token`);
  }
  const smallest = specialTokens.length + byteToCharacter.length;
  if (vocabularySize < smallest) {
    throw new ConfigError({
      code: "TOKENIZER_VOCABULARY_SMALL",
      message: `a vocabulary of ${vocabularySize} was asked for, and ${specialTokens.length} special tokens with 256 bytes need ${smallest}`,
      fix: `ask for a vocabulary of ${smallest} or more`,
      where: "vocabularySize",
    });
  }
  return settings;
}

/** An error about what was asked for. */
export function optionsError(message: string): ConfigError {
  return new ConfigError({
    code: "TOKENIZER_TRAINING_OPTIONS",
    message: `the tokenizer cannot be trained as asked: ${message}`,
    fix: "see the options of trainByteLevelBpe",
  });
}
