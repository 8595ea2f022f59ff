import { openCpuDevice } from "@latentkit/backend-cpu";
import { benchThreads, rateUnit } from "./clock.ts";
import { cpuSizes, denseStart, trainingCases } from "./sae-cases.ts";
import { compareTraining } from "./sae-rows.ts";
import { markedDevice } from "./size.ts";
import type { Bench } from "./rows.ts";

/** Presentations a second of SAE training on activations in memory, beside SAELens with the same thresholds. */
export const saeTrainingBench: Bench = {
  name: "sae-training",
  async *run() {
    using device = await openCpuDevice({ threads: benchThreads });
    for (const trained of [...trainingCases(cpuSizes), denseStart(cpuSizes)]) {
      yield await compareTraining(device, trained, {
        bench: "sae-training",
        sizes: cpuSizes,
        precision: "f32",
        unit: rateUnit("tokens"),
        device: markedDevice(`${device.info.matmul}, ${device.info.threads} threads`),
        peer: { dtype: "f32", device: "cpu" },
      });
    }
  },
};
