import { harvest, readDocuments } from "@latentkit/activations/node";
import type { Command } from "commander";
import { z } from "zod";
import { modelArgument, openModel } from "../open-model.ts";
import {
  commonSchema,
  count,
  deviceSchema,
  parseOptions,
  withCommonOptions,
  deviceFlag,
} from "../options.ts";
import { printResult } from "../output.ts";
import { runStage } from "../stage.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  ...deviceSchema,
  site: z.string(),
  text: z.array(z.string()).min(1),
  out: z.string(),
  context: count.default(128),
  batch: count.default(8),
  maxTokens: count.optional(),
  dtype: z.enum(["f32", "f16", "bf16"]).default("f32"),
  heldOut: z.coerce.number().min(0).max(1).default(0.1),
});

export function addHarvest(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("harvest")
      .description(
        "Run text through a model and store the activations of one site as shards. Run again to resume.",
      )
      .argument("<model>", modelArgument)
      .requiredOption(
        "--site <name>",
        "for example blocks.9.hook_resid_post; `latentkit inspect MODEL` lists them",
      )
      .requiredOption(
        "--text <files...>",
        ".txt, .jsonl (fields id and text, or messages), either gzipped",
      )
      .requiredOption("--out <dir>", "folder for shards and manifest.json")
      .option("--context <n>", "tokens in a context (default: 128)")
      .option("--batch <n>", "contexts in one forward pass (default: 8)")
      .option("--max-tokens <n>", "stop before there are more tokens than this")
      .option("--dtype <name>", "f32, f16 or bf16 (default: f32)")
      .option("--held-out <share>", "share of documents kept from training (default: 0.1)"),
    deviceFlag,
  ).action(async (argument: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    using open = await openModel(argument, terminal, options);
    const manifest = await runStage(
      terminal,
      { title: "harvest", quiet: options.quiet },
      (onProgress) =>
        harvest({
          model: open.model,
          documents: readDocuments(options.text, { signal: terminal.signal }),
          site: options.site,
          out: options.out,
          packing: { contextSize: options.context },
          batchSize: options.batch,
          split: { heldOut: options.heldOut, seed: options.seed },
          dtype: options.dtype,
          maximumTokens: options.maxTokens ?? null,
          signal: terminal.signal,
          onProgress,
        }),
    );
    printResult(terminal, options.json, { out: options.out, manifest }, () => ({
      columns: ["split", "contexts", "tokens", "kept", "masked: first position", "masked: norm"],
      rows: (["train", "held-out"] as const).map((split) => {
        const counts = manifest.counts.splits[split];
        return [
          split,
          ...[
            counts.contexts,
            counts.tokens,
            counts.kept,
            counts.masked.firstPosition,
            counts.masked.normOutlier,
          ].map(String),
        ];
      }),
      footer: `${manifest.shards.length} shards of ${manifest.site} in ${options.out}`,
    }));
  });
}
