import { nodeProcess } from "./matmul/host.ts";

const given = new Set<string>();

/** Says something once for the process: by `process.emitWarning` with a code in Node, on the console elsewhere. */
export function warnOnce(code: string, message: string): void {
  if (given.has(code)) return;
  given.add(code);
  const host = nodeProcess();
  // oxlint-disable-next-line no-console -- where a page shows warnings
  if (host === null) console.warn(`${code}: ${message}`);
  else host.emitWarning(message, { type: "LatentkitWarning", code });
}

/** Forgets what was said. For tests. */
export function forgetWarnings(): void {
  given.clear();
}
