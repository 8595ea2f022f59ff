import { readFileSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { IoError } from "@latentkit/core";
import { z } from "zod";
import { writeError } from "./write-error.ts";

/** A folder that only this call writes to. */
export interface FolderLock {
  release(): Promise<void>;
}

const recordSchema = z.object({
  pid: z.number().int(),
  host: z.string(),
  started: z.string().nullable(),
});
type LockRecord = z.infer<typeof recordSchema>;

/** Name of the lock file inside the folder. */
export const lockFile = "harvest.lock";

/**
 * Takes the folder's lock. One that a killed process left behind is taken over; that of a living one is respected, also from
 * within the same process.
 *
 * @throws IoError `OUT_LOCKED`
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, lockFile);
  const mine: LockRecord = { pid: process.pid, host: hostname(), started: startOf(process.pid) };
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await create(path, mine)) return { release: () => rm(path, { force: true }) };
    const text = await readFile(path, "utf8").catch(() => null);
    if (text === null) continue;
    const held = parseRecord(text);
    if (held !== null && isAlive(held)) throw lockedError(path, held);
    if (held === null && attempt === 0) {
      // Its owner may be about to write it.
      await setTimeout(100);
      continue;
    }
    await removeStale(path, text);
  }
  throw lockedError(path, null);
}

async function create(path: string, record: LockRecord): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(record), { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    // On a full disk the name is taken before the content fails.
    await rm(path, { force: true });
    throw writeError(path, error);
  }
}

/** Moves a dead lock away; where another process was quicker and the file moved is its new lock, puts that back. */
async function removeStale(path: string, expected: string): Promise<void> {
  const aside = `${path}.${process.pid}.stale`;
  try {
    await rename(path, aside);
    const moved = await readFile(aside, "utf8");
    if (moved === expected) await rm(aside, { force: true });
    else await rename(aside, path);
  } catch {
    // Somebody else removed it first: the next attempt sees what is there now.
  }
}

function parseRecord(text: string): LockRecord | null {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    // Killed between creating the file and writing it.
    return null;
  }
}

/** Whether the holder may still be writing. Of a process on another host nothing can be known. */
function isAlive(record: LockRecord): boolean {
  if (record.host !== hostname()) return true;
  try {
    process.kill(record.pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  // A process id may have been given to somebody else since: on Linux the start time tells.
  return record.started === null || startOf(record.pid) === record.started;
}

/** When a process started, in ticks since boot; null where the system does not say. */
function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

function lockedError(path: string, record: LockRecord | null): IoError {
  const who = record === null ? "another process" : `process ${record.pid} on ${record.host}`;
  return new IoError({
    code: "OUT_LOCKED",
    message: `${who} is writing to this folder`,
    fix: `wait for it, or use a new --out folder; if it is surely gone, delete ${lockFile}`,
    where: path,
  });
}
