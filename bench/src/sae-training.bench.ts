import { arrayBatches } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { shortRunJumpRelu, topK, trainSae } from "@latentkit/sae";
import type { TrainConfigInput } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const dIn = 576;
const dSae = 16_384;
const batch = 4096;
const k = 64;
/** Timed steps, after one that pays for allocation. */
const steps = 4;

interface TrainingCase {
  readonly architecture: "topk" | "jumprelu";
  /** How many latents fire, in words. */
  readonly regime: string;
  readonly config: TrainConfigInput;
}

const run = { dSae, batchSize: batch, tokens: batch * (steps + 1), points: 1 };

const cases: readonly TrainingCase[] = [
  { architecture: "topk", regime: `L0 ${k}`, config: topK({ ...run, k }) },
  {
    // On these inputs a threshold of 0.1 leaves as many latents active as the peer's initialisation does.
    architecture: "jumprelu",
    regime: "L0 about 130, as the peer's",
    config: { ...shortRunJumpRelu(run), recipe: "custom", initialThreshold: 0.1 },
  },
  {
    architecture: "jumprelu",
    regime: "first steps of short-run, L0 about 5,000",
    config: shortRunJumpRelu(run),
  },
];

/** Presentations a second of SAE training on activations in memory, beside SAELens. */
export const saeTrainingBench: Bench = {
  name: "sae-training",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    for (const { architecture, regime, config } of cases) {
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => timeSteps(device, config),
        () =>
          runPeer("sae_training.py", { architecture, "d-in": dIn, "d-sae": dSae, batch, steps, k }),
      );
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

/** Median seconds of a step. The first step is left out, and so is the last, which ends with an evaluation. */
async function timeSteps(device: Device, config: TrainConfigInput): Promise<number> {
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
