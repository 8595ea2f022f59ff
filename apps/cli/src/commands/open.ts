import type { Command } from "commander";
import { z } from "zod";
import { commonSchema, parseOptions, port, withCommonOptions } from "../options.ts";
import { serveUntilStopped } from "../serve/serve-until-stopped.ts";
import { announceServer } from "../serve/announce.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({ ...commonSchema, port: port.optional() });

export function addOpen(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("open")
      .description("Serve the folder of a report to this machine's browser. Ctrl-C ends it.")
      .argument(
        "<dir>",
        "folder that `atlas` wrote, or any other with an index.html or report.html",
      )
      .option("--port <n>", "port on 127.0.0.1 (default: the first free one from 4173)"),
  ).action(async (folder: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    await serveUntilStopped(terminal, folder, options, (server) =>
      announceServer(terminal, server, options),
    );
  });
}
