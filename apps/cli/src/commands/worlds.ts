import { writeFileAtomic } from "@latentkit/loaders/node";
import type { Command } from "commander";
import { z } from "zod";
import { commonSchema, count, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import { runStage } from "../stage.ts";
import type { Terminal } from "../terminal.ts";
import type { WorldLines } from "../worlds/lines.ts";

const schema = z.object({
  ...commonSchema,
  stage: z.enum(["base", "instruct"]).default("base"),
  prose: z.string().optional(),
  characters: count,
  splitSpecial: z.boolean().default(false),
  out: z.string(),
});

export function addWorlds(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("worlds")
      .description("Write generated documents with their gold labels, one JSON object a line.")
      .argument(
        "[name]",
        "a world, for example facts, or `mixture`: what the embedded model reads",
        "mixture",
      )
      .option("--stage <name>", "base or instruct: which mixture (default: base)")
      .option(
        "--prose <file>",
        "public-domain texts for the base, as node tools/prose.mjs writes them",
      )
      .requiredOption("--characters <n>", "stop with the document that reaches this length of text")
      .option(
        "--split-special",
        "cut texts at special tokens, without labels: what train-tokenizer is to read",
      )
      .requiredOption("--out <file>", ".jsonl file: id, world, text, turns, spans, labels"),
  ).action(async (name: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const { characters, splitSpecial, out, seed, stage } = options;
    const { signal } = terminal;
    // Only here: the generators' word lists need not be loaded for other commands.
    const { openWorlds } = await import("../worlds/open-worlds.ts");
    const { worldLines } = await import("../worlds/lines.ts");
    const next = await openWorlds({ name, seed, stage, prose: options.prose });
    const written: WorldLines = { lines: 0, documents: 0, characters: 0 };
    await runStage(terminal, { title: `write ${name}`, quiet: options.quiet }, (onProgress) =>
      writeFileAtomic(
        out,
        worldLines(next, { characters, splitSpecial, signal, onProgress }, written),
        { signal },
      ),
    );
    printResult(terminal, options.json, { name, stage, seed, ...written, out }, () => ({
      columns: ["world", "stage", "documents", "lines", "characters"],
      rows: [
        [
          name,
          stage,
          ...[written.documents, written.lines, written.characters].map((value) =>
            value.toLocaleString("en"),
          ),
        ],
      ],
      footer: `the documents are in ${out}`,
    }));
  });
}
