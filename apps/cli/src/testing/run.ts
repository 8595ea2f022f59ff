import { Writable } from "node:stream";
import { runCli } from "../cli.ts";

/** What a command printed and how it ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process. */
export async function run(
  args: readonly string[],
  options: {
    readonly signal?: AbortSignal;
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly onStdout?: (all: string) => void;
    readonly onStderr?: (all: string) => void;
  } = {},
): Promise<Outcome> {
  const stdout = new Collector(options.onStdout);
  const stderr = new Collector(options.onStderr);
  const signal = options.signal ?? new AbortController().signal;
  const code = await runCli(args, { stdout, stderr, env: options.env ?? {}, signal });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

class Collector extends Writable {
  text = "";
  readonly #onText: (all: string) => void;

  constructor(onText: (all: string) => void = () => undefined) {
    super();
    this.#onText = onText;
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    this.text += String(chunk);
    this.#onText(this.text);
    done();
  }
}
