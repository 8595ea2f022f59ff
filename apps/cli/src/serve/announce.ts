import type { Terminal } from "../terminal.ts";
import type { FolderServer } from "./serve-folder.ts";

/** Prints the address: with `--json` as a result of its own line, since the server goes on. */
export function announceServer(
  terminal: Terminal,
  { address, port }: FolderServer,
  { json }: { readonly json: boolean },
): void {
  terminal.stdout.write(
    json ? `${JSON.stringify({ address, port })}\n` : `\nserving ${address}  (Ctrl-C ends it)\n`,
  );
}
