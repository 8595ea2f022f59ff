import type { Writable } from "node:stream";

/** What a command may touch of the world around it; tests give their own. */
export interface Terminal {
  /** Results: a table, or JSON with `--json`. */
  readonly stdout: Writable;
  /** Progress and errors. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Flags that every command has. */
export interface CommonOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly seed: number;
}
