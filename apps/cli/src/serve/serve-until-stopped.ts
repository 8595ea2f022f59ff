import type { Terminal } from "../terminal.ts";
import { type FolderServer, serveFolder } from "./serve-folder.ts";

/**
 * Serves a folder and says where, until the terminal's signal comes. That is how serving ends, and so it is no error: the command
 * that called exits with 0.
 *
 * @param announce what to print once the server listens
 */
export async function serveUntilStopped(
  terminal: Terminal,
  folder: string,
  options: { readonly port?: number | undefined },
  announce: (server: FolderServer) => void,
): Promise<void> {
  const server = await serveFolder(folder, options);
  try {
    announce(server);
    await untilStopped(terminal.signal);
  } finally {
    await server.close();
  }
}

/** Resolves when the signal fires. */
export function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
