import type { Command } from "commander";
import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { modelArgument, openModel } from "../open-model.ts";
import {
  commonSchema,
  count,
  parseOptions,
  parseTokenRows,
  withCommonOptions,
} from "../options.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  prompt: z.string().min(1).optional(),
  tokens: z.string().optional(),
  chat: z.boolean().default(false),
  greedy: z.boolean().default(false),
  temperature: z.coerce.number().positive().default(1),
  topP: z.coerce.number().positive().max(1).optional(),
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
      .option("--chat", "put the prompt through the model's chat template, as the user's message")
      .option("--greedy", "take the most probable token each time")
      .option("--temperature <t>", "divides the logits when sampling (default: 1)")
      .option("--top-p <p>", "sample among the most probable tokens that reach this probability")
      .option("--max-tokens <n>", "stop after this many new tokens (default: 256)")
      .option("--ignore-eos", "go on after the end-of-text token"),
  ).action(async (argument: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const input = promptOf(options);
    using open = await openModel(argument, terminal, options);
    const tokens: number[] = [];
    let text = "";
    let finish: string | null = null;
    for await (const piece of open.model.generate({
      ...input,
      temperature: options.greedy ? 0 : options.temperature,
      ...(options.topP === undefined ? {} : { topP: options.topP }),
      maxTokens: options.maxTokens,
      ignoreEos: options.ignoreEos,
      seed: options.seed,
      signal: terminal.signal,
    })) {
      tokens.push(piece.token);
      text += piece.text;
      finish = piece.finish;
      if (!options.json) terminal.stdout.write(piece.text);
    }
    const result = { text, tokens, finish, model: open.model.identity(), seed: options.seed };
    terminal.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : "\n");
  });
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
