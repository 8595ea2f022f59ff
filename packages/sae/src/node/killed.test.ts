import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { smallTrainings } from "../testing/small-trainings.ts";
import { type CheckpointStore, memoryCheckpoints } from "../train/checkpoint.ts";
import { trainSaes } from "../train/train-saes.ts";
import { checkpointFolder } from "./checkpoint-folder.ts";

const root = mkdtempSync(join(tmpdir(), "latentkit-killed-"));
const device = new Device(createReferenceBackend());
afterAll(() => {
  rmSync(root, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

const kills = 20;
/** Lines that a child may write before it is killed: two a step. */
const mostLines = 16;
/** More than all children together can reach. */
const steps = (kills * mostLines) / 2 + 20;

/** Trains to the end and returns all that must be equal bit for bit. */
async function finish(store: (name: string) => CheckpointStore): Promise<unknown> {
  const stores = new Map<string, CheckpointStore>();
  const kept = (name: string): CheckpointStore => {
    const made = store(name);
    stores.set(name, made);
    return made;
  };
  const outcomes = await trainSaes({ device, saes: smallTrainings(steps, kept) });
  const found: unknown[] = [];
  for (const outcome of outcomes) {
    if (outcome.status !== "trained") throw outcome.error;
    using sae = outcome.sae;
    const last = await stores.get(outcome.name)?.load();
    const tensors = last?.tensors.toSorted((one, other) => (one.name < other.name ? -1 : 1));
    const { history } = outcome;
    found.push({ identity: await sae.identity(), history, state: last?.state, tensors });
  }
  return found;
}

/** Resolves once a stream has given so many lines. */
async function lines(stream: NodeJS.ReadableStream, wanted: number): Promise<void> {
  let seen = 0;
  for await (const text of stream) {
    seen += String(text).split("\n").length - 1;
    if (seen >= wanted) return;
  }
}

/** The child as one file, which starts in a fraction of the time that its sources take. */
async function bundle(): Promise<string> {
  const outfile = join(root, "child.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("../testing/train-children.ts", import.meta.url))],
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    conditions: ["@latentkit/source"],
    outfile,
    logLevel: "error",
  });
  return outfile;
}

it("ends with the same bytes after being killed at 20 random moments", async () => {
  const child = await bundle();
  const folder = join(root, "killed");
  const random = new Random(11);
  const places = new Set<string>();
  for (let kill = 0; kill < kills; kill++) {
    const running = spawn(process.execPath, [child, folder, String(steps)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let complaints = "";
    running.stderr.on("data", (text: Buffer) => (complaints += text.toString()));
    const ended = once(running, "exit");
    // Moments are counted in steps, so that a slow machine is killed as far on as a fast one, and then in milliseconds.
    await Promise.race([lines(running.stdout, 1 + random.integer(mostLines)), ended]);
    await sleep(5 * random.uniform());
    running.kill("SIGKILL");
    await ended;
    expect(running.signalCode, complaints).toBe("SIGKILL");
    for (const name of ["topk", "jumprelu-raw"])
      if (existsSync(join(folder, name))) places.add(readdirSync(join(folder, name)).join());
  }
  // The kills fell on different states of the folders: they were not all before the first checkpoint.
  expect(places.size).toBeGreaterThan(10);
  expect(await finish((name) => checkpointFolder(join(folder, name)))).toEqual(
    await finish(memoryCheckpoints),
  );
}, 120_000);
