import { ConfigError } from "@latentkit/core";
import { readJson } from "@latentkit/loaders/node";
import { metricsCells, metricsColumns, parseSuite, planSuite } from "@latentkit/suite";
import { runSuite, type SuiteRun } from "@latentkit/suite/node";
import type { Command } from "commander";
import { dirname } from "node:path";
import { z } from "zod";
import { openModel } from "../open-model.ts";
import { commonSchema, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import { runStage } from "../stage.ts";
import { addSuiteCompare } from "./suite-compare.ts";
import { openSuiteDocuments } from "../suite/documents.ts";
import { suiteModel } from "../suite/model.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  model: z.string().optional(),
  out: z.string(),
  redo: z.boolean().default(false),
});

export function addSuite(program: Command, terminal: Terminal): void {
  const suite = program.command("suite").description("Train and measure many SAEs.");
  addSuiteCompare(suite, terminal);
  withCommonOptions(
    suite
      .command("run")
      .description(
        "Train, measure and export the SAEs that SUITE names. Run again to go on; finished jobs are skipped.",
      )
      .argument("<suite>", "JSON file: text, sites, layers, and entries of SAEs")
      .requiredOption("--out <dir>", "folder for the SAEs, metrics.json and metrics.md")
      .option("--model <model>", "folder, .gguf file, or `random`, in place of the file's own")
      .option("--redo", "do jobs again that the folder has from other inputs"),
  ).action(async (path: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const { signal } = terminal;
    const config = parseSuite(await readJson(path, z.unknown()), path);
    const documents = await openSuiteDocuments(config, dirname(path), signal);
    using open = await openModel(suiteModel(options.model, config.model, path), terminal, options);
    const { saes } = planSuite(config, open.model.config);
    const stage = {
      title: `suite of ${saes.length} SAEs`,
      quiet: options.quiet,
      summary: ({ ran, skipped, failed }: SuiteRun) =>
        `${ran.length} jobs, ${skipped.length} done before${failed.length === 0 ? "" : `, ${failed.length} SAEs given up`}`,
    };
    const { out, redo } = options;
    const { ran, skipped, metrics, failed } = await runStage(terminal, stage, (onProgress) =>
      runSuite({ suite: config, model: open.model, documents, out, redo, signal, onProgress }),
    );
    const given = failed.map(({ id, error: { code, message, fix } }) => ({
      id,
      code,
      message,
      fix,
    }));
    printResult(terminal, options.json, { out, ran, skipped, failed: given, metrics }, () => ({
      columns: metricsColumns,
      rows: metrics.rows.map(metricsCells),
      footer: `metrics.json, metrics.md, report.html and the SAEs are in ${out}`,
    }));
    const [first] = failed;
    if (first === undefined) return;
    throw new ConfigError({
      code: "SUITE_SAES_STOPPED",
      message: `${failed.length} of ${saes.length} SAEs were given up; ${failed.map(({ id, error }) => `${id}: ${error.message} (${error.code})`).join("; ")}`,
      fix: `${first.error.fix}; the other SAEs are done`,
      cause: first.error,
    });
  });
}
