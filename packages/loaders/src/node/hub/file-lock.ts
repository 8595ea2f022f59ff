import { throwIfAborted } from "@latentkit/core";
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { z } from "zod";
import { wait } from "../../hub/retry.ts";

const holderSchema = z.object({ pid: z.number().int(), host: z.string() });

/** How a lock behaves; tests make it quicker. */
export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** A lock that nobody has touched for so many milliseconds is left over from a process that died; 60,000 by default. */
  readonly staleMs?: number | undefined;
  /** How often a waiting process looks again, in milliseconds; 250 by default. */
  readonly pollMs?: number | undefined;
  /** Called once if somebody else holds the lock. */
  readonly onWait?: (() => void) | undefined;
}

/**
 * Runs a step while holding a lock file, so that two processes do not download the same file twice. What is downloaded is
 * checked before it counts, so a lock that fails costs time and nothing else.
 */
export async function withFileLock<T>(
  path: string,
  options: LockOptions,
  step: () => Promise<T>,
): Promise<T> {
  const { signal, staleMs = 60_000, pollMs = 250 } = options;
  await mkdir(dirname(path), { recursive: true });
  for (let first = true; !(await take(path)); first = false) {
    throwIfAborted(signal, "what was downloaded is kept");
    if (first) options.onWait?.();
    if (!(await removeStale(path, staleMs))) await wait(pollMs, signal);
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, staleMs / 4);
  try {
    return await step();
  } finally {
    clearInterval(heartbeat);
    await unlink(path).catch(() => undefined);
  }
}

async function take(path: string): Promise<boolean> {
  const handle = await open(path, "wx").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return null;
    throw error;
  });
  if (handle === null) return false;
  try {
    await handle.writeFile(JSON.stringify({ pid: process.pid, host: hostname() }));
  } finally {
    await handle.close();
  }
  return true;
}

/** Removes a lock whose holder is gone. Renaming comes first, so that of two who see the same lock one removes it. */
async function removeStale(path: string, staleMs: number): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null) return true;
  if (Date.now() - found.mtimeMs < staleMs && !(await holderIsDead(path))) return false;
  const away = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    await rename(path, away);
    await unlink(away);
  } catch {
    // Somebody else was quicker.
  }
  return true;
}

async function holderIsDead(path: string): Promise<boolean> {
  const text = await readFile(path, "utf8").catch(() => "");
  const holder = holderSchema.safeParse(safeJson(text));
  if (!holder.success || holder.data.host !== hostname()) return false;
  try {
    process.kill(holder.data.pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH";
  }
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
