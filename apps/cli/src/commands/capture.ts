import { ConfigError } from "@latentkit/core";
import { writeSafetensors } from "@latentkit/loaders/node";
import type { LanguageModel } from "@latentkit/models";
import type { Command } from "commander";
import { z } from "zod";
import { adapterOption, modelArgument, openModel } from "../open-model.ts";
import { withProfile } from "../device.ts";
import {
  commonSchema,
  deviceSchema,
  parseOptions,
  parseTokenRows,
  profileSchema,
  withCommonOptions,
  deviceFlag,
  profileFlag,
} from "../options.ts";
import { printResult } from "../output.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  ...deviceSchema,
  ...profileSchema,
  prompt: z.string().min(1).optional(),
  tokens: z.string().optional(),
  adapter: z.string().min(1).optional(),
  sites: z.string().transform((text) => text.split(",").map((site) => site.trim())),
  out: z.string(),
});

export function addCapture(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("capture")
      .description(
        "Run a model and write the values at named sites as f32 safetensors, with the tokens (i32).",
      )
      .argument("<model>", modelArgument)
      .option("--prompt <text>", "text to run")
      .option(
        "--tokens <rows>",
        'token ids instead: "1,2,3;4,5,6" is a batch of two rows of equal length',
      )
      .requiredOption(
        "--sites <names>",
        "sites with commas, for example blocks.9.hook_resid_post,logits",
      )
      .option("--adapter <dir>", adapterOption)
      .requiredOption("--out <file>", "safetensors file to write")
      .addHelpText("after", "\n`latentkit inspect MODEL` lists a model's sites."),
    deviceFlag,
    profileFlag,
  ).action(async (argument: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    using open = await openModel(argument, terminal, options);
    const { model } = open;
    const tokens = tokenRows(model, options);
    const captured = await withProfile(terminal, open.device, options, async () => {
      using run = model.run(tokens, { capture: options.sites, logits: "none" });
      return Promise.all(
        [...run.captured].map(async ([name, tensor]) => ({
          name,
          dtype: "f32" as const,
          shape: tensor.shape,
          bytes: await tensor.floats(),
        })),
      );
    });
    const shape = [tokens.length, tokens[0]?.length ?? 0];
    const ids = {
      name: "tokens",
      dtype: "i32" as const,
      shape,
      bytes: Int32Array.from(tokens.flat()),
    };
    await writeSafetensors(options.out, [...captured, ids], {
      model: model.name,
      weights: model.identity().weightsHash,
    });
    const rows = [...captured, ids].map(({ name, dtype, shape: sizes }) => ({
      name,
      dtype,
      shape: sizes,
    }));
    printResult(terminal, options.json, { out: options.out, tensors: rows }, () => ({
      columns: ["tensor", "dtype", "shape"],
      rows: rows.map((row) => [row.name, row.dtype, `[${row.shape.join(", ")}]`]),
      footer: `written to ${options.out}`,
    }));
  });
}

/** The rows of `--tokens`, or `--prompt` as one row. */
function tokenRows(
  model: LanguageModel,
  options: { prompt?: string | undefined; tokens?: string | undefined },
): number[][] {
  if ((options.prompt === undefined) === (options.tokens === undefined)) {
    throw new ConfigError({
      code: "USAGE_PROMPT",
      message: `${options.prompt === undefined ? "neither" : "both"} of --prompt and --tokens were given`,
      fix: "give exactly one of them",
    });
  }
  if (options.tokens !== undefined) return parseTokenRows(options.tokens);
  if (model.tokenizer === null) {
    throw new ConfigError({
      code: "TOKENIZER_MISSING",
      message: `the model ${model.name} has no tokenizer, so text cannot be turned into tokens`,
      fix: "give --tokens, or put tokenizer.json beside the weights",
    });
  }
  return [[...model.tokenizer.encode(options.prompt ?? "").ids]];
}
