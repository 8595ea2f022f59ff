import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** What a peer script prints: its name with versions, and the seconds of each repetition. */
export interface PeerRun {
  readonly peer: string;
  readonly seconds: readonly number[];
  readonly l0?: number;
  readonly peakBytes?: number;
}

/**
 * Runs `bench/peers/SCRIPT` with the Python of `PEER_PYTHON`.
 *
 * @returns null where the variable is unset or empty: the peer's columns stay empty
 */
export async function runPeer(
  script: string,
  options: Readonly<Record<string, string | number>>,
): Promise<PeerRun | null> {
  const python = process.env["PEER_PYTHON"];
  if (python === undefined || python === "") return null;
  const file = fileURLToPath(new URL(`../peers/${script}`, import.meta.url));
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout } = await promisify(execFile)(python, [file, ...flags], { maxBuffer: 2 ** 24 });
  const last = stdout.trim().split("\n").at(-1) ?? "";
  return JSON.parse(last) as PeerRun; // the scripts beside this file are the only writers of this line
}
