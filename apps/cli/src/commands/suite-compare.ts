import { ConfigError } from "@latentkit/core";
import { readJson } from "@latentkit/loaders/node";
import { claimsTable, parseComparison } from "@latentkit/suite";
import { comparisonStatus, type ComparisonRun, runComparison } from "@latentkit/suite/node";
import type { Command } from "commander";
import { dirname } from "node:path";
import { z } from "zod";
import { openModel } from "../open-model.ts";
import { commonSchema, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import { runStage } from "../stage.ts";
import { openSuiteDocuments } from "../suite/documents.ts";
import { suiteModel } from "../suite/model.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  model: z.string().optional(),
  out: z.string(),
  text: z.array(z.string()).optional(),
  redo: z.boolean().default(false),
  status: z.boolean().default(false),
});

export function addSuiteCompare(suite: Command, terminal: Terminal): void {
  withCommonOptions(
    suite
      .command("compare")
      .description(
        "Compare architectures of SAEs at equal L0, over seeds, each tuned alike. Run again to go on; finished jobs are skipped.",
      )
      .argument("<comparison>", "JSON file: text, site, architectures with their sparsities, seeds")
      .requiredOption(
        "--out <dir>",
        "folder for the SAEs, compare.json, compare.md and compare.html",
      )
      .option("--model <model>", "folder, .gguf file, or `random`, in place of the file's own")
      .option("--text <file...>", "text files, in place of the file's own")
      .option("--redo", "do jobs again that the folder has from other inputs")
      .option("--status", "say how far the folder is, and do nothing"),
  ).action(async (path: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const { out, redo } = options;
    const { signal } = terminal;
    const comparison = parseComparison(await readJson(path, z.unknown()), path);
    if (options.status) {
      const stages = await comparisonStatus(comparison, out);
      printResult(terminal, options.json, { out, stages }, () => ({
        columns: ["stage", "done", "of"],
        rows: stages.map(({ stage, done, total }) => [stage, String(done), String(total)]),
      }));
      return;
    }
    const documents =
      options.text === undefined
        ? await openSuiteDocuments(comparison, dirname(path), signal)
        : await openSuiteDocuments({ text: { files: options.text } }, ".", signal);
    const model = suiteModel(options.model, comparison.model, path);
    using open = await openModel(model, terminal, options);
    const stage = {
      title: "comparison",
      quiet: options.quiet,
      summary: ({ ran, skipped }: ComparisonRun) => `${ran} jobs, ${skipped} done before`,
    };
    const { result, ran, skipped } = await runStage(terminal, stage, (onProgress) =>
      runComparison({ comparison, model: open.model, documents, out, redo, signal, onProgress }),
    );
    printResult(terminal, options.json, { out, ran, skipped, result }, () => ({
      ...claimsTable(result),
      footer: `compare.json, compare.md, compare.html and the SAEs are in ${out}`,
    }));
    const { failed } = result;
    if (failed.length === 0) return;
    throw new ConfigError({
      code: "SUITE_SAES_STOPPED",
      message: `${failed.length} of ${result.planned} SAEs were given up: ${failed.map(({ id, code }) => `${id} (${code})`).join(", ")}`,
      fix: "the others are compared without them; give other sparsities or learning rates, or run again to try them once more",
    });
  });
}
