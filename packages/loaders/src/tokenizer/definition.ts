import { FormatError } from "@latentkit/core";
import { z } from "zod";

const componentSchema = z.looseObject({ type: z.string() });
const addedTokenSchema = z.object({
  id: z.int().nonnegative(),
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
});
const definitionSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).nullish(),
  normalizer: componentSchema.nullish(),
  pre_tokenizer: componentSchema.nullish(),
  post_processor: componentSchema.nullish(),
  decoder: componentSchema.nullish(),
  model: z.looseObject({ type: z.string().optional() }),
});
const tokenReference = z.union([
  z.string(),
  z.looseObject({ content: z.string() }).transform((token) => token.content),
]);
const configSchema = z.looseObject({
  bos_token: tokenReference.nullish(),
  eos_token: tokenReference.nullish(),
  pad_token: tokenReference.nullish(),
  unk_token: tokenReference.nullish(),
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])
    .nullish(),
  clean_up_tokenization_spaces: z.boolean().nullish(),
});

/** One step of a tokenizer: `{ type: "ByteLevel", ... }`. */
export type TokenizerComponent = Readonly<z.infer<typeof componentSchema>>;

/** A token that is cut out of the text before the model sees it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** The parts of a `tokenizer.json`, checked as far as this package uses them. */
export interface TokenizerDefinition {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: TokenizerComponent | null;
  readonly pre_tokenizer: TokenizerComponent | null;
  readonly post_processor: TokenizerComponent | null;
  readonly decoder: TokenizerComponent | null;
  readonly model: Readonly<Record<string, unknown>> & { readonly type: string };
}

/** The parts of a `tokenizer_config.json` that matter here. */
export interface TokenizerSettings {
  readonly bos: string | null;
  readonly eos: string | null;
  readonly pad: string | null;
  readonly unknown: string | null;
  readonly chatTemplate: string | null;
  readonly cleanUpSpaces: boolean;
}

/** Checks the object of a `tokenizer.json`; throws {@link FormatError} `TOKENIZER_JSON`. */
export function parseDefinition(json: unknown): TokenizerDefinition {
  const parsed = definitionSchema.safeParse(json);
  if (!parsed.success) throw definitionError(z.prettifyError(parsed.error).replaceAll("\n", " "));
  const { added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model } = parsed.data;
  return {
    added_tokens: (added_tokens ?? []).map((token) => ({
      ...token,
      normalized: token.normalized ?? !token.special,
    })),
    normalizer: normalizer ?? null,
    pre_tokenizer: pre_tokenizer ?? null,
    post_processor: post_processor ?? null,
    decoder: decoder ?? null,
    model: { ...model, type: checkModelType(model.type ?? inferModelType(model)) },
  };
}

/** Checks the object of a `tokenizer_config.json`; throws {@link FormatError} `TOKENIZER_CONFIG`. */
export function parseSettings(json: unknown): TokenizerSettings {
  const parsed = configSchema.safeParse(json ?? {});
  if (!parsed.success) {
    throw new FormatError({
      code: "TOKENIZER_CONFIG",
      message: `tokenizer_config.json is not as expected: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
      fix: "get the tokenizer_config.json of this model again",
    });
  }
  const {
    bos_token,
    eos_token,
    pad_token,
    unk_token,
    chat_template,
    clean_up_tokenization_spaces,
  } = parsed.data;
  const named = Array.isArray(chat_template)
    ? (chat_template.find(({ name }) => name === "default")?.template ?? null)
    : null;
  return {
    bos: bos_token ?? null,
    eos: eos_token ?? null,
    pad: pad_token ?? null,
    unknown: unk_token ?? null,
    chatTemplate: typeof chat_template === "string" ? chat_template : named,
    cleanUpSpaces: clean_up_tokenization_spaces ?? false,
  };
}

/** The vocabulary by id, added tokens included; throws {@link FormatError} where an entry is no id or two tokens share one. */
export function vocabularyOf({
  model,
  added_tokens,
}: TokenizerDefinition): readonly (string | undefined)[] {
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of vocabularyEntries(model.vocab)) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > 10_000_000) {
      throw definitionError(
        `the token ${JSON.stringify(token)} has the id ${String(id)}; a whole number below 10,000,000 was expected`,
      );
    }
    if (tokens[id] !== undefined)
      throw definitionError(
        `the tokens ${JSON.stringify(tokens[id])} and ${JSON.stringify(token)} share the id ${id}`,
      );
    tokens[id] = token;
  }
  for (const { id, content } of added_tokens) {
    if (id > 10_000_000)
      throw definitionError(
        `the added token ${JSON.stringify(content)} has the id ${id}, above 10,000,000`,
      );
    tokens[id] = content;
  }
  return tokens;
}

function vocabularyEntries(vocabulary: unknown): Iterable<readonly [string, unknown]> {
  if (Array.isArray(vocabulary)) {
    // A Unigram vocabulary lists [token, score] pairs; the id is the place in the list.
    return vocabulary.map((entry: unknown, id) => {
      const token: unknown = Array.isArray(entry) ? entry[0] : undefined;
      if (typeof token !== "string")
        throw definitionError(`entry ${id} of the vocabulary is not a pair of token and score`);
      return [token, id] as const;
    });
  }
  if (typeof vocabulary === "object" && vocabulary !== null) return Object.entries(vocabulary);
  throw definitionError("model.vocab is missing");
}

function inferModelType(model: Readonly<Record<string, unknown>>): string {
  if ("merges" in model) return "BPE";
  if (Array.isArray(model.vocab)) return "Unigram";
  return "WordPiece";
}

function checkModelType(type: string): string {
  if (type === "BPE" || type === "WordPiece" || type === "Unigram" || type === "WordLevel")
    return type;
  throw unsupportedError(
    `the tokenizer's model is of kind "${type}"; BPE, Unigram, WordPiece and WordLevel are supported`,
  );
}

/** An error about the definition itself. */
export function definitionError(message: string, cause?: unknown): FormatError {
  return new FormatError({
    code: "TOKENIZER_JSON",
    message: `the tokenizer's definition is not as expected: ${message}`,
    fix: "get the tokenizer.json of this model again",
    cause,
  });
}

/** An error about a definition that is sound but asks for something that is not there. */
export function unsupportedError(message: string): FormatError {
  return new FormatError({
    code: "TOKENIZER_UNSUPPORTED",
    message,
    fix: "use a model whose tokenizer is supported, or open an issue with this message",
  });
}

/** A step of a sequence; throws where it is no object with a type. */
export function asComponent(step: unknown): TokenizerComponent {
  if (typeof step === "object" && step !== null && "type" in step && typeof step.type === "string")
    return { ...step, type: step.type };
  throw definitionError("a step of a Sequence has no type");
}
