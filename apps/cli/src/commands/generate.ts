import type { Command } from "commander";
import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { z } from "zod";
import { adapterOption, modelArgument, openModel } from "../open-model.ts";
import { withProfile } from "../device.ts";
import {
  commonSchema,
  count,
  deviceSchema,
  parseOptions,
  parseTokenRows,
  profileSchema,
  withCommonOptions,
  deviceFlag,
  profileFlag,
} from "../options.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  ...deviceSchema,
  ...profileSchema,
  prompt: z.string().min(1).optional(),
  tokens: z.string().optional(),
  adapter: z.string().min(1).optional(),
  chat: z.boolean().default(false),
  greedy: z.boolean().default(false),
  temperature: z.coerce.number().positive().default(1),
  topK: count.optional(),
  topP: z.coerce.number().positive().max(1).optional(),
  minP: z.coerce.number().min(0).max(1).optional(),
  repetitionPenalty: z.coerce.number().positive().optional(),
  stop: z.array(z.string().min(1)).default([]),
  samples: count.default(1),
  maxTokens: count.default(256),
  ignoreEos: z.boolean().default(false),
});

export function addGenerate(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("generate")
      .description("Continue a prompt. Text is printed as it comes.")
      .argument("<model>", modelArgument)
      .option("--prompt <text>", "text to continue")
      .option("--tokens <ids>", 'token ids instead, as in "1,2,3"')
      .option("--adapter <dir>", adapterOption)
      .option("--chat", "put the prompt through the model's chat template, as the user's message")
      .option("--greedy", "take the most probable token each time")
      .option("--temperature <t>", "divides the logits when sampling (default: 1)")
      .option("--top-k <k>", "sample among the k most probable tokens")
      .option("--top-p <p>", "sample among the most probable tokens that reach this probability")
      .option(
        "--min-p <p>",
        "sample among tokens at least this fraction as probable as the most probable",
      )
      .option(
        "--repetition-penalty <x>",
        "make tokens that the text has already less probable (1.1 to 1.3)",
      )
      .option("--stop <text...>", "end where the text has one of these")
      .option("--samples <n>", "ways to go on, from one reading of the prompt (default: 1)")
      .option("--max-tokens <n>", "stop after this many new tokens (default: 256)")
      .option("--ignore-eos", "go on after the end-of-text token"),
    deviceFlag,
    profileFlag,
  ).action(async (argument: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const input = promptOf(options);
    using open = await openModel(argument, terminal, options);
    const samples = await withProfile(terminal, open.device, options, () =>
      generateAll(open.model, input, options, terminal),
    );
    const made = { model: open.model.identity(), seed: options.seed };
    if (options.json) {
      const [only] = samples;
      const result = options.samples === 1 ? { ...only, ...made } : { samples, ...made };
      terminal.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    } else {
      const others = options.samples === 1 ? [] : samples;
      terminal.stdout.write(`${others.map(({ text }) => text).join("\n---\n")}\n`);
    }
  });
}

/** A way to go on. */
interface Sample {
  text: string;
  readonly tokens: number[];
  finish: string;
}

/** Every sample whole; a single one is printed as it comes. */
async function generateAll(
  model: LanguageModel,
  input: ReturnType<typeof promptOf>,
  options: z.infer<typeof schema>,
  terminal: Terminal,
): Promise<Sample[]> {
  const samples = Array.from({ length: options.samples }, () => ({
    text: "",
    tokens: Array<number>(),
    finish: "length",
  }));
  for await (const piece of model.generate({
    ...input,
    temperature: options.greedy ? 0 : options.temperature,
    ...(options.topK === undefined ? {} : { topK: options.topK }),
    ...(options.topP === undefined ? {} : { topP: options.topP }),
    ...(options.minP === undefined ? {} : { minP: options.minP }),
    repetitionPenalty: options.repetitionPenalty,
    stopStrings: options.stop,
    samples: options.samples,
    maxTokens: options.maxTokens,
    ignoreEos: options.ignoreEos,
    seed: options.seed,
    signal: terminal.signal,
  })) {
    const sample = samples[piece.sample];
    if (sample === undefined) continue; // there are as many as were asked for
    sample.tokens.push(piece.token);
    sample.text += piece.text;
    sample.finish = piece.finish ?? sample.finish;
    // One text can be shown as it comes; several would be mixed.
    if (!options.json && options.samples === 1) terminal.stdout.write(piece.text);
  }
  return samples;
}

/** What to continue. Throws `ConfigError` `USAGE_PROMPT`. */
function promptOf(
  options: z.infer<typeof schema>,
): { prompt: string } | { tokens: number[] } | { messages: { role: string; content: string }[] } {
  const { prompt, tokens, chat } = options;
  if (prompt !== undefined && tokens === undefined)
    return chat ? { messages: [{ role: "user", content: prompt }] } : { prompt };
  const rows = tokens === undefined || prompt !== undefined || chat ? [] : parseTokenRows(tokens);
  const [row] = rows;
  if (row !== undefined && rows.length === 1) return { tokens: row };
  throw new ConfigError({
    code: "USAGE_PROMPT",
    message: "there is not exactly one prompt to continue",
    fix: 'give --prompt TEXT (with --chat if you like) or one row of ids as in --tokens "1,2,3"',
  });
}
