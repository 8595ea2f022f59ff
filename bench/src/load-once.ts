// A fresh process for load.bench.ts: `load-once.ts GGUF read|f32|stored|complete` prints one line of JSON, a LoadRun.
import { open } from "node:fs/promises";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { internalFault } from "@latentkit/core";
import { openCheckpoint } from "@latentkit/loaders/node";
import { loadModel } from "@latentkit/models";
import { benchThreads, clock } from "./clock.ts";
import { type LoadRun, type LoadWay, loadWays } from "./load-run.ts";

const [path = "", asked] = process.argv.slice(2);
const way = loadWays.find((known) => known === asked);
if (way === undefined) throw internalFault(`load-once was asked for "${asked}"`);
const seconds = way === "read" ? await timeRead(path) : await timeLoad(path, way);
const run: LoadRun = { seconds, peakBytes: process.resourceUsage().maxRSS * 1024 };
process.stdout.write(`${JSON.stringify(run)}\n`);
process.exit(0);

/** Reads the file in pieces as large as the loader's. */
async function timeRead(file: string): Promise<number> {
  const buffer = new Uint8Array(8 * 1024 * 1024);
  const start = clock();
  const handle = await open(file, "r");
  while ((await handle.read(buffer, 0, buffer.length)).bytesRead > 0);
  await handle.close();
  return clock() - start;
}

/** The device is there already: it is opened once for all models of a process. */
async function timeLoad(file: string, how: Exclude<LoadWay, "read">): Promise<number> {
  const device = await openCpuDevice({ threads: benchThreads });
  const start = clock();
  const checkpoint = await openCheckpoint(file, { tokenizer: how === "complete" });
  await loadModel(checkpoint, { device, weights: how === "f32" ? "f32" : "stored" });
  await checkpoint.close();
  return clock() - start;
}
