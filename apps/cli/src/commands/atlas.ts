import { recipeNames } from "@latentkit/sae";
import type { Command } from "commander";
import { z } from "zod";
import { runAtlas } from "../atlas/run-atlas.ts";
import { commonSchema, count, parseOptions, port, withCommonOptions } from "../options.ts";
import { summariseAtlas } from "../atlas/summary.ts";
import { modelArgument } from "../open-model.ts";
import { printResult } from "../output.ts";
import { announceServer } from "../serve/announce.ts";
import { serveUntilStopped } from "../serve/serve-until-stopped.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  sae: z.string().optional(),
  site: z.string().optional(),
  text: z.array(z.string()).min(1).optional(),
  out: z.string(),
  recipe: z.enum(recipeNames).default("short-run"),
  width: count.optional(),
  k: count.default(64),
  sparsity: z.coerce.number().positive().optional(),
  presentations: count.optional(),
  maxTokens: count.optional(),
  context: count.default(128),
  batch: count.default(8),
  heldOut: z.coerce.number().gt(0).lt(1).optional(),
  spliceContexts: count.default(64),
  serve: z.boolean().default(false),
  port: port.optional(),
});

/** The flags of `latentkit atlas`, parsed. */
export type AtlasOptions = z.infer<typeof schema>;

export function addAtlas(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("atlas")
      .description(
        "Chart an SAE's dense latents: harvest activations, train or load the SAE, measure it, test its latents, write a report.",
      )
      .argument("<model>", modelArgument)
      .option(
        "--sae <dir|train|packaged>",
        "an SAE folder (Latentkit or SAELens), `train` to train one on the text, or, for `tiny` and by default there, `packaged`",
      )
      .option(
        "--site <name>",
        "where the SAE reads (default: the SAE's own site, or the residual stream a third of the way up; of the packaged SAEs the middle one)",
      )
      .option(
        "--text <files...>",
        ".txt, .jsonl (fields id and text, or messages), either gzipped (default for `tiny`: text of its worlds)",
      )
      .requiredOption(
        "--out <dir>",
        "folder for activations, SAE, result.json and report.html; run again to resume",
      )
      .option("--recipe <name>", `how to train: ${recipeNames.join(", ")} (default: short-run)`)
      .option("--width <n>", "latents to train (default: 8 times the site's width)")
      .option("--k <n>", "active latents of a TopK SAE (default: 64)")
      .option(
        "--sparsity <lambda>",
        "weight of a JumpReLU SAE's L0 penalty (default: the recipe's)",
      )
      .option(
        "--presentations <n>",
        "activations shown in training, repeats counted (default: the recipe's)",
      )
      .option(
        "--max-tokens <n>",
        "tokens to harvest at most (default: all of the text; 150,000 of the worlds)",
      )
      .option("--context <n>", "tokens in a context (default: 128)")
      .option("--batch <n>", "contexts in one forward pass (default: 8)")
      .option(
        "--held-out <share>",
        "share of documents kept from training, which the atlas is made on (default: 0.1; 0.99 for a packaged SAE, which has seen none of it)",
      )
      .option(
        "--splice-contexts <n>",
        "held-out contexts on which the language model's loss is measured (default: 64)",
      )
      .option("--serve", "then serve the folder to this machine's browser; Ctrl-C ends it")
      .option("--port <n>", "port on 127.0.0.1 (default: the first free one from 4173)"),
  ).action(async (model: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const { result, report } = await runAtlas(model, options, terminal);
    printResult(terminal, options.json, result, () => summariseAtlas(result, report));
    if (!options.serve) return;
    await serveUntilStopped(terminal, options.out, options, (server) =>
      announceServer(terminal, server, options),
    );
  });
}
