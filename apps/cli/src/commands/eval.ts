import { ConfigError } from "@latentkit/core";
import { type Evaluation, evaluateTiny, evaluationTable } from "@latentkit/eval";
import { readJson, writeFileAtomic } from "@latentkit/loaders/node";
import type { Command } from "commander";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { openModel } from "../open-model.ts";
import { commonSchema, parseOptions, withCommonOptions } from "../options.ts";
import { runStage } from "../stage.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  worlds: z.string().optional(),
  thorough: z.boolean().default(false),
  out: z.string().optional(),
});

const worldsSchema = z.looseObject({ seed: z.int().nonnegative().optional() });
/** What `--worlds` names: `{ "seed": 1 }`, or the configuration that the model was trained by. */
const worldFileSchema: z.ZodType<WorldFile> = worldsSchema.extend({
  data: z.looseObject({ worlds: worldsSchema.optional() }).optional(),
});

interface WorldFile {
  readonly seed?: number | undefined;
  readonly data?:
    | { readonly worlds?: { readonly seed?: number | undefined } | undefined }
    | undefined;
}

export function addEval(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("eval")
      .description("Check what a model that was trained on the worlds can do, with intervals.")
      .argument("<model>", "folder or .gguf file")
      .option(
        "--worlds <file>",
        'JSON with the worlds\' seed, as in {"seed": 1}, or the file of train-lm',
      )
      .option("--thorough", "as many questions as a final table needs: minutes, not seconds")
      .option("--out <dir>", "write evaluation.json and evaluation.md there"),
  ).action(async (argument: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const worldSeed = await worldSeedOf(options.worlds);
    using open = await openModel(argument, terminal, options);
    const evaluation = await runStage(
      terminal,
      {
        title: "evaluate",
        quiet: options.quiet,
        summary: ({ checks, seconds }: Evaluation) =>
          `${checks.length} checks in ${seconds.toFixed(1)} s`,
      },
      (onProgress) =>
        evaluateTiny(open.model, {
          seed: options.seed,
          worldSeed,
          thorough: options.thorough,
          signal: terminal.signal,
          onProgress,
        }),
    );
    const table = evaluationTable(evaluation);
    if (options.out !== undefined) await save(options.out, evaluation, table, terminal.signal);
    terminal.stdout.write(options.json ? `${JSON.stringify(evaluation, null, 2)}\n` : table);
  });
}

/** The worlds' seed; 1, that of the embedded model, without a file. */
async function worldSeedOf(path: string | undefined): Promise<number> {
  if (path === undefined) return 1;
  const file = await readJson(path, worldFileSchema);
  const seed = file.data === undefined ? file.seed : (file.data.worlds?.seed ?? 1);
  if (seed !== undefined) return seed;
  throw new ConfigError({
    code: "WORLDS_FILE",
    message: "the file of --worlds names no seed",
    fix: 'give {"seed": 1}, or the configuration that the model was trained by',
    where: path,
  });
}

async function save(
  folder: string,
  evaluation: Evaluation,
  table: string,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const json = `${JSON.stringify(evaluation, null, 1)}\n`;
  const { name } = evaluation.model;
  const scale = evaluation.thorough ? "thorough" : "quick";
  const page = `# What ${name} can do\n\nEvaluation with seed ${evaluation.seed} (${scale}), ${evaluation.seconds.toFixed(1)} s.\n\n${table}`;
  await writeFileAtomic(join(folder, "evaluation.md"), page, { signal });
  await writeFileAtomic(join(folder, "evaluation.json"), json, { signal });
}
