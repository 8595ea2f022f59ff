import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, unlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { LatentkitError } from "@latentkit/core";
import { build } from "../backend.ts";
import { noPlans, parseTunedPlans, type TunedPlans } from "../tuner/store.ts";

/** What the file holds: plans, and the version of the kernels that they were measured with. */
interface PlanFile {
  readonly schemaVersion: 1;
  readonly build: string;
  readonly plans: TunedPlans;
}

/**
 * Where measured plans are kept: `latentkit/webgpu-plans.json` in `XDG_CACHE_HOME`, or in `.cache` of the home folder where that is not
 * set or, as the XDG specification has it, not absolute.
 */
export function tunedPlansPath(
  env: Readonly<Record<string, string | undefined>> = process.env,
  home: string = homedir(),
): string {
  const given = env["XDG_CACHE_HOME"] ?? "";
  const cache = isAbsolute(given) ? given : join(home, ".cache");
  return join(cache, "latentkit", "webgpu-plans.json");
}

/**
 * The plans that a file holds; none where there is no file, or it cannot be read, was torn, or is of another version of the kernels: what
 * is missing in a cache is measured again.
 */
export async function readTunedPlans(path: string = tunedPlansPath()): Promise<TunedPlans> {
  try {
    const file: unknown = JSON.parse(await readFile(path, "utf8"));
    return isPlanFile(file) ? parseTunedPlans(file.plans) : noPlans;
  } catch (fault) {
    if (fault instanceof SyntaxError || isSystemError(fault)) return noPlans;
    if (LatentkitError.isInstance(fault) && fault.code === "TUNED_PLANS_INVALID") return noPlans;
    throw fault;
  }
}

/**
 * Writes the plans, beside those of the file for other adapters and shapes: to a temporary name, flushed to the disk, then renamed. Of two
 * processes that write at once one may lose what it measured, and measures it again.
 *
 * @returns whether it could be written: a cache on a full or read-only disk is no fault
 */
export async function writeTunedPlans(
  plans: TunedPlans,
  path: string = tunedPlansPath(),
): Promise<boolean> {
  const adapters = { ...(await readTunedPlans(path)).adapters };
  for (const [adapter, measured] of Object.entries(plans.adapters))
    adapters[adapter] = { ...adapters[adapter], ...measured };
  const file: PlanFile = { schemaVersion: 1, build, plans: { schemaVersion: 1, adapters } };
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, "wx");
    try {
      await handle.writeFile(`${JSON.stringify(file, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    return true;
  } catch (fault) {
    await unlink(temporary).catch(() => undefined);
    if (isSystemError(fault)) return false;
    throw fault;
  }
}

function isPlanFile(value: unknown): value is PlanFile {
  if (typeof value !== "object" || value === null) return false;
  return (
    "schemaVersion" in value &&
    value.schemaVersion === 1 &&
    "build" in value &&
    value.build === build &&
    "plans" in value
  );
}

/** What Node's file system throws. */
function isSystemError(fault: unknown): boolean {
  return fault instanceof Error && "syscall" in fault;
}
