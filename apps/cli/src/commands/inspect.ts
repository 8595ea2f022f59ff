import { existsSync } from "node:fs";
import type { OnProgress } from "@latentkit/core";
import { isRemoteSource } from "@latentkit/loaders/node";
import { isSaeSource } from "@latentkit/sae/node";
import type { Command } from "commander";
import { z } from "zod";
import { inspectPath } from "../inspect/inspect-path.ts";
import { checkpointPath } from "../open-model.ts";
import { commonSchema, parseOptions, withCommonOptions } from "../options.ts";
import { printResult } from "../output.ts";
import { runStage } from "../stage.ts";
import type { Terminal } from "../terminal.ts";

export function addInspect(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("inspect")
      .description(
        "Say what a path is: a model, a LoRA adapter, an SAE, activation shards, a safetensors file or an atlas.",
      )
      .argument(
        "<path>",
        "file or folder, org/name[@revision] of the hub, http(s) address, or `tiny`",
      ),
  ).action(async (path: string, raw: unknown) => {
    const options = parseOptions(z.object(commonSchema), raw);
    const where = checkpointPath(path, terminal);
    const { env, signal } = terminal;
    const inspect = (onProgress?: OnProgress) =>
      inspectPath(where, { signal, onProgress, remote: { env } });
    const remote = !existsSync(where) && (isRemoteSource(where) || isSaeSource(where));
    const stage = { title: `fetch ${where}`, quiet: options.quiet };
    const found = remote ? await runStage(terminal, stage, inspect) : await inspect();
    printResult(terminal, options.json, found, () => ({
      columns: [found.kind, ""],
      rows: Object.entries(found.facts).map(([name, value]) => [name, String(value)]),
      footer: found.tables
        .map(({ title, lines }) => `${title}\n${lines.map((line) => `  ${line}`).join("\n")}`)
        .join("\n\n"),
    }));
  });
}
