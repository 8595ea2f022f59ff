import { serveModel } from "@latentkit/openai-api/node";
import type { Command } from "commander";
import { describeError } from "@latentkit/core";
import { z } from "zod";
import { adapterOption, modelArgument, openModel } from "../open-model.ts";
import { commonSchema, parseOptions, port, withCommonOptions } from "../options.ts";
import { untilStopped } from "../serve/serve-until-stopped.ts";
import type { Terminal } from "../terminal.ts";

const schema = z.object({
  ...commonSchema,
  host: z.string().min(1).default("127.0.0.1"),
  port: port.default(8000),
  token: z.string().min(1).optional(),
  adapter: z.string().min(1).optional(),
  name: z.string().min(1).optional(),
});

export function addServe(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command("serve")
      .description(
        "Answer OpenAI-compatible requests (chat and completions, streaming, steering) on this machine. Ctrl-C ends it.",
      )
      .argument("<model>", modelArgument)
      .option(
        "--host <address>",
        "address to listen at; any but this machine's needs a token (default: 127.0.0.1)",
      )
      .option("--port <n>", "port (default: 8000)")
      .option(
        "--token <text>",
        "what clients must send as their API key (default: LATENTKIT_SERVE_TOKEN, or none)",
      )
      .option("--adapter <dir>", adapterOption)
      .option("--name <text>", "the model's name for clients (default: its own)"),
  ).action(async (argument: string, raw: unknown) => {
    const options = parseOptions(schema, raw);
    const token = options.token ?? (terminal.env["LATENTKIT_SERVE_TOKEN"] || undefined);
    using open = await openModel(argument, terminal, options);
    await using server = await serveModel({
      model: open.model,
      name: options.name ?? argument,
      host: options.host,
      port: options.port,
      token,
      onError: (error) => void terminal.stderr.write(`${describeError(error)}\n`),
    });
    const { url } = server;
    terminal.stdout.write(
      options.json
        ? `${JSON.stringify({ url, port: server.port, model: options.name ?? argument })}\n`
        : `\nserving ${options.name ?? argument} at ${url}  (Ctrl-C ends it)\n`,
    );
    await untilStopped(terminal.signal);
  });
}
