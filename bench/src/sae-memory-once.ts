// A fresh process for sae-memory.bench.ts: `sae-memory-once.ts topk|jumprelu` trains a few steps and prints one line of JSON, a MemoryRun.
import { openCpuDevice } from "@latentkit/backend-cpu";
import { internalFault } from "@latentkit/core";
import type { MemoryRun } from "./memory-run.ts";
import { cpuSizes, trainingCases } from "./sae-cases.ts";
import { timeSteps } from "./sae-steps.ts";
import { small } from "./size.ts";

const [asked = ""] = process.argv.slice(2);
const trained = trainingCases(cpuSizes).find(({ architecture }) => architecture === asked);
if (trained === undefined) throw internalFault(`sae-memory-once was asked for "${asked}"`);
// A trial is over before helper threads have loaded their library, and a process must not end meanwhile.
const device = await openCpuDevice({ threads: small ? 1 : undefined });
await timeSteps(device, trained.config, { dIn: cpuSizes.dIn });
const run: MemoryRun = {
  peakBytes: process.resourceUsage().maxRSS * 1024,
  deviceBytes: device.memory().peakBytes,
};
process.stdout.write(`${JSON.stringify(run)}\n`);
process.exit(0);
