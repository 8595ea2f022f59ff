import { readDocuments } from "@latentkit/activations/node";
import { trainByteLevelBpe } from "@latentkit/loaders";
import { readText, writeFileAtomic } from "@latentkit/loaders/node";
import type { Command } from "commander";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { commonSchema, count, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import { runStage } from "../stage.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  text: z.array(z.string()).min(1),
  vocabulary: count,
  special: z.array(z.string()).default([]),
  bos: z.string().optional(),
  eos: z.string().optional(),
  pad: z.string().optional(),
  chatTemplate: z.string().optional(),
  minimumFrequency: count.default(2),
  maxLength: count.optional(),
  out: z.string(),
});

export function addTrainTokenizer(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("train-tokenizer")
      .description(
        "Train a byte-level BPE tokenizer and write tokenizer.json and tokenizer_config.json.",
      )
      .requiredOption(
        "--text <files...>",
        ".txt, .jsonl (fields id and text, or messages), either gzipped",
      )
      .requiredOption(
        "--vocabulary <n>",
        "tokens in all: the special ones, the 256 bytes and what is learned",
      )
      .option("--special <tokens...>", "special tokens, with the ids 0, 1, ... in this order")
      .option("--bos <token>", "the special token that begins a text")
      .option("--eos <token>", "the special token that ends a text")
      .option("--pad <token>", "the special token that fills rows of a batch")
      .option("--chat-template <file>", "Jinja template of chats")
      .option("--minimum-frequency <n>", "merge no pair that is rarer than this (default: 2)")
      .option("--max-length <n>", "longest context of the model, in tokens")
      .requiredOption("--out <dir>", "folder for the two files"),
  ).action(async (raw: unknown) => {
    const options = parseOptions(schema, raw);
    const chatTemplate =
      options.chatTemplate === undefined ? undefined : await readText(options.chatTemplate);
    const { tokenizerJson, tokenizerConfig, summary } = await runStage(
      terminal,
      { title: "train the tokenizer", quiet: options.quiet },
      (onProgress) =>
        trainByteLevelBpe(textsOf(options.text, terminal.signal), {
          vocabularySize: options.vocabulary,
          specialTokens: options.special,
          minimumFrequency: options.minimumFrequency,
          bosToken: options.bos,
          eosToken: options.eos,
          padToken: options.pad,
          chatTemplate,
          modelMaximumLength: options.maxLength,
          signal: terminal.signal,
          onProgress,
        }),
    );
    await mkdir(options.out, { recursive: true });
    const files = {
      tokenizer: join(options.out, "tokenizer.json"),
      config: join(options.out, "tokenizer_config.json"),
    };
    await writeFileAtomic(files.tokenizer, `${JSON.stringify(tokenizerJson)}\n`);
    await writeFileAtomic(files.config, `${JSON.stringify(tokenizerConfig, null, 2)}\n`);
    printResult(terminal, options.json, { ...summary, files }, () => ({
      columns: ["vocabulary", "merges", "texts", "characters", "tokens", "characters in a token"],
      rows: [
        [
          ...[
            summary.vocabularySize,
            summary.merges,
            summary.texts,
            summary.characters,
            summary.tokens,
          ].map((value) => value.toLocaleString("en")),
          (summary.characters / summary.tokens).toFixed(2),
        ],
      ],
      footer: `tokenizer.json and tokenizer_config.json are in ${options.out}`,
    }));
  });
}

async function* textsOf(paths: readonly string[], signal: AbortSignal): AsyncGenerator<string> {
  for await (const { text } of readDocuments(paths, { signal })) yield text;
}
