import { openCpuDevice } from "@latentkit/backend-cpu";
import { evaluateTiny, figuresOf } from "@latentkit/eval";
import { trainLanguageModel } from "@latentkit/training/node";
import type { LanguageModel } from "@latentkit/models";
import type { Command } from "commander";
import { join } from "node:path";
import { z } from "zod";
import { commonSchema, count, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import { runStage } from "../stage.ts";
import type { Terminal } from "../terminal.ts";
import { withCurve } from "../train-lm/curve.ts";
import { prepareTraining } from "../train-lm/prepare.ts";
import { readTrainLmConfig } from "../train-lm/config.ts";
import { saveTrained, saveWithTokenizer } from "../train-lm/save.ts";

const schema = z.object({
  ...commonSchema,
  out: z.string(),
  tokens: count.optional(),
  otherBackend: z.boolean().default(false),
});

export function addTrainLm(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("train-lm")
      .description(
        "Train a language model as CONFIG says. Run again to go on where it stopped; Ctrl-C keeps a checkpoint.",
      )
      .argument("<config>", "JSON file: model, tokenizer, data and training")
      .requiredOption("--out <dir>", "folder for checkpoints, metrics.jsonl and the model")
      .option("--tokens <n>", "train this many tokens instead of what CONFIG says")
      .option(
        "--other-backend",
        "go on although kernels, library or threads are not those that the run was started with",
      ),
  ).action(async (path: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const config = await readTrainLmConfig(path, { tokens: options.tokens, seed: options.seed });
    using device = await openCpuDevice();
    const prepared = await prepareTraining(config, device, terminal.signal);
    using model = prepared.model;
    const checkpointDir = join(options.out, "checkpoint");
    const evaluate = async (trained: LanguageModel, tokens: number) => {
      const { signal } = terminal;
      if (config.snapshots) {
        const target = join(options.out, "snapshots", String(tokens));
        await saveWithTokenizer(trained, config, target, { dtype: "f16", signal });
      }
      if (!config.readiness) return {};
      return figuresOf(await evaluateTiny(trained, { seed: config.training.seed, signal }));
    };
    const result = await runStage(
      terminal,
      { title: "train", quiet: options.quiet },
      (onProgress) =>
        trainLanguageModel({
          model,
          contexts: prepared.contexts,
          validation: prepared.validation,
          config: config.training,
          checkpointDir,
          allowOtherBackend: options.otherBackend,
          evaluate: config.snapshots || config.readiness ? evaluate : undefined,
          signal: terminal.signal,
          onProgress: withCurve(onProgress),
        }),
    );
    const files = await saveTrained({
      model,
      config,
      result,
      out: options.out,
      signal: terminal.signal,
    });
    const { points, ...summary } = result;
    printResult(terminal, options.json, { ...summary, ...files, points: points.length }, () => ({
      columns: ["steps", "tokens", "validation", "validation of the average", "kept"],
      rows: [
        [
          String(summary.steps),
          summary.tokens.toLocaleString("en"),
          summary.validation?.toFixed(4) ?? "",
          summary.averageValidation?.toFixed(4) ?? "",
          summary.chosen,
        ],
      ],
      footer: `the model is in ${files.model}`,
    }));
  });
}
