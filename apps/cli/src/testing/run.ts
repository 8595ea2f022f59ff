import { Writable } from "node:stream";
import { runCli } from "../cli.ts";

/** What a command printed and how it ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process. */
export async function run(args: readonly string[], options: { readonly signal?: AbortSignal } = {}): Promise<Outcome> {
  const stdout = new Collector();
  const stderr = new Collector();
  const signal = options.signal ?? new AbortController().signal;
  const code = await runCli(args, { stdout, stderr, env: {}, signal });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

class Collector extends Writable {
  text = "";

  override _write(chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}
