import { arrayBatches } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { shortRunJumpRelu, topK, trainSae } from "@latentkit/sae";
import type { TrainConfig } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const dIn = 576;
const dSae = 16_384;
const batch = 4096;
const k = 64;
/** Timed steps, after one that pays for allocation. */
const steps = 4;

/** Presentations a second of SAE training on activations in memory, beside SAELens. */
export const saeTrainingBench: Bench = {
  name: "sae-training",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    for (const architecture of ["topk", "jumprelu"] as const) {
      const config = trainConfig(architecture);
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => timeSteps(device, config),
        () => runPeer("sae_training.py", { architecture, "d-in": dIn, "d-sae": dSae, batch, steps, k }),
      );
      const regime = architecture === "topk" ? `k ${k}` : "from initialisation, where about half of all latents fire";
      yield {
        bench: "sae-training",
        case: `${architecture}, d ${dIn}, F ${dSae}, batch ${batch}, f32, ${regime}`,
        unit: "tokens/s",
        ours: batch / ours,
        peer: peerSeconds === null ? null : batch / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: `${device.info.matmul}, ${device.info.threads} threads`,
      };
    }
  },
};

function trainConfig(architecture: "topk" | "jumprelu"): TrainConfig {
  const run = { dSae, batchSize: batch, tokens: batch * (steps + 1), points: 1 };
  return architecture === "topk" ? topK({ ...run, k }) : shortRunJumpRelu(run);
}

/** Median seconds of a step. The first step is left out, and so is the last, which ends with an evaluation. */
async function timeSteps(device: Device, config: TrainConfig): Promise<number> {
  const random = new Random(0);
  const data = random.fillNormal(new Float32Array(2 * batch * dIn), 1 / Math.sqrt(dIn));
  const times: number[] = [];
  let last = performance.now();
  const { sae } = await trainSae({
    device,
    config,
    batches: arrayBatches(data, dIn, 0),
    heldOut: data.subarray(0, 64 * dIn),
    onProgress: () => {
      const now = performance.now();
      times.push((now - last) / 1000);
      last = now;
    },
  });
  sae.dispose();
  return median(times.slice(1, -1));
}
