import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { randomModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import { type ContextStream, trainLanguageModel } from "@latentkit/training";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const sizes = {
  layers: 6,
  dModel: 256,
  heads: 8,
  kvHeads: 4,
  dHead: 32,
  dMlp: 704,
  vocabulary: 4096,
} as const;
const contextSize = 512;
const batch = 8;
/** Timed steps, after one that pays for allocation. */
const steps = 8;

/** Tokens a second of language-model training on random tokens, beside the same step in PyTorch. */
export const trainLmBench: Bench = {
  name: "train-lm",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    const { ours, peerSeconds, peerName } = await compareSeconds(
      () => timeSteps(device),
      () =>
        runPeer("train_lm.py", {
          layers: sizes.layers,
          "d-model": sizes.dModel,
          heads: sizes.heads,
          "kv-heads": sizes.kvHeads,
          "d-head": sizes.dHead,
          "d-mlp": sizes.dMlp,
          vocabulary: sizes.vocabulary,
          context: contextSize,
          batch,
          steps,
        }),
    );
    const tokens = batch * contextSize;
    yield {
      bench: "train-lm",
      case: `Llama, ${sizes.layers} x ${sizes.dModel}, heads ${sizes.heads}/${sizes.kvHeads} of ${sizes.dHead}, MLP ${sizes.dMlp}, vocabulary ${sizes.vocabulary}, batch ${batch} x ${contextSize}, f32`,
      unit: "tokens/s",
      ours: tokens / ours,
      peer: peerSeconds === null ? null : tokens / peerSeconds,
      peerName,
      ratio: peerSeconds === null ? null : peerSeconds / ours,
      device: `${device.info.matmul}, ${device.info.threads} threads`,
    };
  },
};

/** Median seconds of a step, without the first. */
async function timeSteps(device: Device): Promise<number> {
  using model = randomModel({
    device,
    seed: 0,
    initialisation: "training",
    config: { ...sizes, contextSize },
  });
  const times: number[] = [];
  let last = performance.now();
  await trainLanguageModel({
    model,
    contexts: randomContexts(),
    config: { tokens: (steps + 1) * batch * contextSize, batch, learningRate: 1e-3 },
    onProgress: () => {
      const now = performance.now();
      times.push((now - last) / 1000);
      last = now;
    },
  });
  return median(times.slice(1));
}

function randomContexts(): ContextStream {
  const random = new Random(0);
  return {
    contextSize,
    identity: null,
    next() {
      const ids = Int32Array.from({ length: contextSize + 1 }, () =>
        random.integer(sizes.vocabulary),
      );
      return Promise.resolve({ inputs: ids.slice(0, -1), targets: ids.slice(1) });
    },
    state: () => null,
    restore: () => undefined,
  };
}
