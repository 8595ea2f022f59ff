import { readJson } from "@latentkit/loaders/node";
import { parseTrainingConfig, type TrainingConfig } from "@latentkit/training";
import { dirname, resolve } from "node:path";
import { z } from "zod";

const size = z.int().positive();

const modelSchema = z.strictObject({
  layers: size,
  dModel: size,
  heads: size,
  kvHeads: size,
  dHead: size,
  dMlp: size,
  contextSize: size,
  ropeBase: z.number().positive().default(10_000),
  normEpsilon: z.number().positive().default(1e-5),
  tiedEmbeddings: z.boolean().default(true),
  vocabulary: size.optional(),
});

const dataSchema = z.union([
  z.strictObject({
    text: z.array(z.string()).min(1),
    /** Files that training never sees, for the validation loss. */
    validation: z.array(z.string()).default([]),
  }),
  z.strictObject({
    worlds: z.strictObject({
      seed: z.int().nonnegative().default(1),
      stage: z.enum(["base", "instruct"]).default("base"),
      introduced: z.boolean().default(false),
      prose: z.string().optional(),
    }),
  }),
]);

const fileSchema = z.strictObject({
  schemaVersion: z.literal(1).default(1),
  /** Sizes of a new model, or the folder of one to go on from. */
  model: z.union([modelSchema, z.strictObject({ from: z.string() })]),
  /** Folder with tokenizer.json; that of the model to go on from by default. */
  tokenizer: z.string().optional(),
  data: dataSchema,
  /** Whether all tokens are learned, or of conversations only what the assistant says. */
  targets: z.enum(["all", "assistant"]).default("all"),
  /** Tokens of a training context; the model's context size by default. */
  contextSize: size.optional(),
  /** The text of the token in front of each document; the tokenizer's BOS or EOS by default. */
  textStart: z.string().optional(),
  /** Texts of the tokens that end what the model writes; the tokenizer's EOS by default. */
  endTokens: z.array(z.string()).optional(),
  /** Whether the model is kept in f16 every `evaluateEvery` tokens, in `snapshots/TOKENS`. */
  snapshots: z.boolean().default(false),
  /** Whether what the model can do is checked against the worlds every `evaluateEvery` tokens, and noted in the metrics. */
  readiness: z.boolean().default(false),
  validationContexts: z.int().nonnegative().default(64),
  training: z.looseObject({}),
});

/** A file for `latentkit train-lm`, with paths resolved from where it lies. */
export type TrainLmConfig = Omit<z.infer<typeof fileSchema>, "training"> & {
  readonly training: TrainingConfig;
};

/** Reads and checks it. Flags take the place of what the file says. */
export async function readTrainLmConfig(
  path: string,
  flags: { readonly tokens?: number | undefined; readonly seed: number },
): Promise<TrainLmConfig> {
  const file = await readJson(path, fileSchema);
  const at = (name: string): string => resolve(dirname(path), name);
  const { model, data, tokenizer } = file;
  const training = parseTrainingConfig(
    {
      seed: flags.seed,
      ...file.training,
      ...(flags.tokens === undefined ? {} : { tokens: flags.tokens }),
    },
    path,
  );
  return {
    ...file,
    training,
    model: "from" in model ? { from: at(model.from) } : model,
    tokenizer: tokenizer === undefined ? undefined : at(tokenizer),
    data:
      "text" in data
        ? { text: data.text.map(at), validation: data.validation.map(at) }
        : {
            worlds: {
              ...data.worlds,
              prose: data.worlds.prose === undefined ? undefined : at(data.worlds.prose),
            },
          },
  };
}
