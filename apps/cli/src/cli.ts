import { ConfigError, describeError } from "@latentkit/core";
import { CommanderError } from "commander";
import { createProgram } from "./program.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Parses and runs one command line.
 *
 * @returns the exit code: 0, 1 for an error (two lines on stderr say what and how to fix), 2 for wrong usage
 */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await createProgram(terminal).parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    // Commander has printed its own message (or the help text, with code 0) by the time it throws.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    terminal.stderr.write(`${describeError(error)}\n`);
    if (terminal.env["LATENTKIT_DEBUG"] !== undefined && error instanceof Error) {
      terminal.stderr.write(`${error.stack ?? ""}\n`);
    }
    return ConfigError.isInstance(error) && error.code.startsWith("USAGE_") ? 2 : 1;
  }
}
