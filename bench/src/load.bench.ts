import { execFile } from "node:child_process";
import { cpus } from "node:os";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openCheckpoint } from "@latentkit/loaders/node";
import { alternate } from "./alternate.ts";
import { cpuClock } from "./clock.ts";
import type { LoadRun, LoadWay } from "./load-run.ts";
import { type PeerRun, runPeer } from "./peer.ts";
import { realModel } from "./real-model.ts";
import { type Bench, type BenchRow, median } from "./rows.ts";

const rounds = 7;
/** Transformers takes seconds to load a GGUF file. */
const peerRounds = 2;

/**
 * Seconds and peak resident memory of loading the real model, each time in a fresh process with a device that is open already. Less is
 * better; ratios are the peer's number over ours, so that above 1 we are ahead. Cold means that the file was put out of the system's
 * cache before, which needs GNU `dd`.
 */
export const loadBench: Bench = {
  name: "load",
  async *run(): AsyncGenerator<BenchRow> {
    const path = realModel("load");
    if (path === null) return;
    const name = basename(path, ".gguf");
    const seconds = cpuClock ? "CPU s" : "s";
    const row = (what: string, unit: string, ours: number, peer: number | null, of: string) => ({
      bench: "load",
      case: `${name}, ${what}`,
      unit,
      ours,
      peer,
      peerName: peer === null ? null : of,
      ratio: peer === null ? null : peer / ours,
      device: `Node ${process.versions.node}, ${cpus().length} processors`,
    });
    const weights = await peerTimes({ gguf: path });
    const complete = await peerTimes({ gguf: path, tokenizer: 1 });
    const { stored, all, read } = await cached(path);
    const reading = "reading the file's bytes";
    yield row(
      "weights as stored, file cached",
      seconds,
      stored.seconds,
      weights?.seconds ?? null,
      weights?.name ?? "",
    );
    yield row(
      "weights and tokenizer, file cached",
      seconds,
      all.seconds,
      complete?.seconds ?? null,
      complete?.name ?? "",
    );
    yield row("weights and tokenizer, file cached", seconds, all.seconds, read.seconds, reading);
    const cold = await alternate(
      rounds,
      async () => (await fresh(path, "complete", true)).seconds,
      [async () => ({ peer: reading, seconds: [(await fresh(path, "read", true)).seconds] })],
    );
    yield row(
      "weights and tokenizer, cold",
      seconds,
      cold.ours,
      cold.peers[0]?.seconds ?? null,
      reading,
    );
    const full = await f32Bytes(path);
    const dense = await fresh(path, "f32");
    for (const [what, { peakBytes }] of [
      ["as stored", all],
      ["as f32", dense],
    ] as const) {
      yield row(
        `peak memory with weights ${what}, ${(peakBytes / full).toFixed(2)} of the f32 weights`,
        "MB",
        peakBytes / 1e6,
        complete === null ? null : complete.peakBytes / 1e6,
        complete?.name ?? "",
      );
    }
  },
};

/** Medians with the file in the system's cache, in alternation. */
async function cached(path: string): Promise<Record<"all" | "read" | "stored", LoadRun>> {
  await fresh(path, "read");
  const runs: Record<"all" | "read" | "stored", LoadRun[]> = { all: [], read: [], stored: [] };
  for (let round = 0; round < rounds; round++) {
    runs.stored.push(await fresh(path, "stored"));
    runs.all.push(await fresh(path, "complete"));
    runs.read.push(await fresh(path, "read"));
  }
  const middle = (found: readonly LoadRun[]): LoadRun => ({
    seconds: median(found.map(({ seconds }) => seconds)),
    peakBytes: Math.max(...found.map(({ peakBytes }) => peakBytes)),
  });
  return { all: middle(runs.all), read: middle(runs.read), stored: middle(runs.stored) };
}

/** One run of load-once.ts. */
async function fresh(path: string, way: LoadWay, cold = false): Promise<LoadRun> {
  const run = promisify(execFile);
  if (cold) await run("dd", [`if=${path}`, "iflag=nocache", "count=0", "status=none"]);
  const script = fileURLToPath(new URL("load-once.ts", import.meta.url));
  const { stdout } = await run(process.execPath, [...process.execArgv, script, path, way]);
  return JSON.parse(stdout) as LoadRun; // load-once.ts is the only writer of this line
}

interface PeerLoad {
  readonly name: string;
  readonly seconds: number;
  readonly peakBytes: number;
}

/** The better of the peer's runs; null without a peer. */
async function peerTimes(
  options: Readonly<Record<string, string | number>>,
): Promise<PeerLoad | null> {
  const runs: PeerRun[] = [];
  for (let round = 0; round < peerRounds; round++) {
    const run = await runPeer("load.py", options);
    if (run !== null) runs.push(run);
  }
  const [first] = runs;
  if (first === undefined) return null;
  return {
    name: first.peer,
    seconds: Math.min(...runs.flatMap(({ seconds }) => seconds)),
    peakBytes: Math.max(...runs.map(({ peakBytes = 0 }) => peakBytes)),
  };
}

/** Bytes of the model's parameters as f32, a tied one counted once. */
async function f32Bytes(path: string): Promise<number> {
  const checkpoint = await openCheckpoint(path, { tokenizer: false });
  try {
    const { tensors } = checkpoint;
    const sizes = tensors
      .names()
      .map((name) => tensors.info(name).shape.reduce((product, axis) => product * axis, 1));
    return 4 * sizes.reduce((sum, size) => sum + size, 0);
  } finally {
    await checkpoint.close();
  }
}
