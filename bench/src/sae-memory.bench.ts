import { execFile } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { MemoryRun } from "./memory-run.ts";
import { runPeer } from "./peer.ts";
import type { Bench, BenchRow } from "./rows.ts";
import { cpuSizes, trainingCases } from "./sae-cases.ts";
import { markedDevice } from "./size.ts";

/**
 * Peak resident memory of training, each in a fresh process: Node or Python with its libraries, the data, the steps and, on our side, the
 * held-out evaluation at the end. Less is better; the ratio is the peer's number over ours.
 */
export const saeMemoryBench: Bench = {
  name: "sae-memory",
  async *run(): AsyncGenerator<BenchRow> {
    const { batch, dIn, dSae } = cpuSizes;
    for (const trained of trainingCases(cpuSizes)) {
      const ours = await fresh(trained.architecture);
      const run = await runPeer("sae_training.py", trained.peer);
      const peer = run?.peakBytes ?? null;
      yield {
        bench: "sae-memory",
        case: `${trained.architecture}, d ${dIn}, F ${dSae}, batch ${batch}, f32, ${trained.regime}, peak of the process (tensors of ours: ${(ours.deviceBytes / 1e6).toFixed(0)} MB)`,
        unit: "MB",
        ours: ours.peakBytes / 1e6,
        peer: peer === null ? null : peer / 1e6,
        peerName: run?.peer ?? null,
        ratio: peer === null ? null : peer / ours.peakBytes,
        device: markedDevice(`Node ${process.versions.node}, ${cpus().length} processors`),
      };
    }
  },
};

/** One run of sae-memory-once.ts. */
async function fresh(architecture: string): Promise<MemoryRun> {
  const script = fileURLToPath(new URL("sae-memory-once.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    script,
    architecture,
  ]);
  return JSON.parse(stdout) as MemoryRun; // sae-memory-once.ts is the only writer of this line
}
