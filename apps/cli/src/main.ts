#!/usr/bin/env node
import { runCli } from "./cli.ts";

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interruptSignal(),
});

/** The first Ctrl-C asks long work to stop at a safe place; the second ends the process at once. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      process.stderr.write("\nstopping at the next safe place (again to stop at once)\n");
      controller.abort(new Error(name));
    });
  }
  return controller.signal;
}
