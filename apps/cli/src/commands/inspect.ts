import type { Command } from "commander";
import { z } from "zod";
import { inspectPath } from "../inspect/inspect-path.ts";
import { checkpointPath } from "../open-model.ts";
import { commonSchema, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import type { Terminal } from "../terminal.ts";

export function addInspect(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("inspect")
      .description(
        "Say what a path is: a model, an SAE, activation shards, a safetensors file or an atlas.",
      )
      .argument("<path>", "file or folder, or `tiny`"),
  ).action(async (path: string, raw: unknown) => {
    const options = parseOptions(z.object(commonSchema), raw);
    const found = await inspectPath(checkpointPath(path, terminal));
    printResult(terminal, options.json, found, () => ({
      columns: [found.kind, ""],
      rows: Object.entries(found.facts).map(([name, value]) => [name, String(value)]),
      footer: found.tables
        .map(({ title, lines }) => `${title}\n${lines.map((line) => `  ${line}`).join("\n")}`)
        .join("\n\n"),
    }));
  });
}
