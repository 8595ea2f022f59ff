import { openCpuDevice } from "@latentkit/backend-cpu";
import { describeSae, loadSae, saveSaeAs, writtenFormats } from "@latentkit/sae/node";
import type { Command } from "commander";
import { z } from "zod";
import { commonSchema, parseOptions, withCommonOptions } from "../../options.ts";
import { printResult } from "../../output.ts";
import { runStage } from "../../stage.ts";
import type { Terminal } from "../../terminal.ts";
import { saeArgument, saeSource, saeSourceSchema, withSaeSource } from "./source.ts";

const schema = z.object({
  ...commonSchema,
  ...saeSourceSchema,
  to: z.string(),
  out: z.string(),
  dtype: z.enum(["f32", "f16"]).default("f32"),
});

/** Adds `sae convert`. */
export function addSaeConvert(sae: Command, terminal: Terminal): void {
  withCommonOptions(
    withSaeSource(
      sae
        .command("convert")
        .description(
          "Read an SAE in any format that is known, and write it in one that others read.",
        )
        .argument("<sae>", saeArgument)
        .requiredOption("--to <format>", writtenFormats.join(", "))
        .requiredOption("--out <dir>", "folder to write into")
        .option("--dtype <name>", "f32 or f16 (default: f32)"),
    ),
  ).action(async (source: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const { quiet, out, to, dtype } = options;
    using device = await openCpuDevice();
    const { format, config, folds, files, identity } = await runStage(
      terminal,
      { title: "convert", quiet },
      async (onProgress) => {
        const reading = saeSource(options, terminal, onProgress);
        const description = await describeSae(source, reading);
        using loaded = await loadSae(source, { ...reading, device });
        const written = await saveSaeAs(loaded, out, to, { dtype, signal: terminal.signal });
        return { ...description, files: written, identity: await loaded.identity() };
      },
    );
    const { architecture, dIn, dOut, dSae } = config;
    printResult(
      terminal,
      options.json,
      { from: format, to, architecture, dIn, dOut, dSae, folds, files, sae: identity },
      () => ({
        columns: ["from", "to", "architecture", "latents"],
        rows: [[format, to, architecture, String(dSae)]],
        footer: [
          ...(folds.length === 0 ? [] : [`folded: ${folds.join("; ")}`]),
          ...files.map((path) => `written ${path}`),
        ].join("\n"),
      }),
    );
  });
}
