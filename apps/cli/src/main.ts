#!/usr/bin/env node
import { runCli } from "./cli.ts";
import { enableRelaxedSimd } from "./relaxed-simd.ts";

enableRelaxedSimd();

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interruptSignal(),
});

/**
 * The first Ctrl-C asks long work to stop at a safe place; a later one ends the process at once. Signals that come together are
 * one: npm passes on what the terminal has already sent to the whole process group.
 */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      const now = performance.now();
      if (controller.signal.aborted) {
        if (now - first > 1000) process.exit(130);
        return;
      }
      first = now;
      process.stderr.write("\nstopping at the next safe place (again to stop at once)\n");
      controller.abort(name);
    });
  }
  return controller.signal;
}
