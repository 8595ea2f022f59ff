import { openCpuDevice } from "@latentkit/backend-cpu";
import { Device } from "@latentkit/tensor";
import { benchThreads, cpuClock } from "./clock.ts";
import { type Bench, type BenchRow, median } from "./rows.ts";
import { cpuSizes, trainingCases } from "./sae-cases.ts";
import { timeSteps } from "./sae-steps.ts";
import { markedDevice, small } from "./size.ts";
import { kernelParts, type PartSeconds, TimedKernels } from "./timed-kernels.ts";

/** Numbers of latents, each twice the one before. */
const widths = small ? [128, 256] : [4096, 8192, 16_384, 32_768, 65_536, 131_072];

/**
 * Milliseconds of a TopK step as the number of latents doubles, in all and by part; less is better. The parts leave out what is not a
 * kernel: allocation, copies from the host, counting what fired.
 */
export const saeTrainWidthBench: Bench = {
  name: "sae-train-width",
  async *run(): AsyncGenerator<BenchRow> {
    const opened = await openCpuDevice({ threads: benchThreads });
    const timed = new TimedKernels(opened.backend);
    // The device of the timed backend disposes the one backend that there is.
    using device = new Device(timed.backend);
    for (const dSae of widths) {
      const sizes = { ...cpuSizes, dSae };
      const [topK] = trainingCases(sizes);
      if (topK === undefined) continue;
      const parts: PartSeconds[] = [];
      timed.take();
      const { seconds } = await timeSteps(device, topK.config, {
        dIn: sizes.dIn,
        afterStep: () => parts.push(timed.take()),
      });
      const row = (what: string, of: number): BenchRow => ({
        bench: "sae-train-width",
        case: `topk, d ${sizes.dIn}, F ${dSae}, batch ${sizes.batch}, k ${sizes.k}, f32, ${what}`,
        unit: cpuClock ? "CPU ms/step" : "ms/step",
        ours: 1000 * of,
        peer: null,
        peerName: null,
        ratio: null,
        device: markedDevice(`${device.info.matmul}, ${device.info.threads} threads`),
      });
      yield row("all of it", seconds);
      // As timeSteps does: neither the first step nor the last.
      for (const part of kernelParts)
        yield row(part, median(parts.slice(1, -1).map((one) => one[part])));
    }
  },
};
