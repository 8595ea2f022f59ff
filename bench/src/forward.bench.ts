import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { openCheckpoint } from "@latentkit/loaders/node";
import { blockSite, loadModel } from "@latentkit/models";
import type { LanguageModel } from "@latentkit/models";
import { runPeer } from "./peer.ts";
import { realModel } from "./real-model.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const batch = 8;
const context = 128;
const repetitions = 5;

interface ForwardCase {
  readonly what: string;
  /** Layers to run before stopping without logits; null for the whole model with logits. */
  readonly stopAfter: number | null;
}

const cases: readonly ForwardCase[] = [
  { what: "with logits", stopAfter: null },
  { what: "residual stream after layer 9, stop there", stopAfter: 10 },
  { what: "residual stream after layer 14, stop there", stopAfter: 15 },
];

/** Tokens a second through the real model of `LATENTKIT_MODELS`, beside Hugging Face transformers. */
export const forwardBench: Bench = {
  name: "forward",
  async *run(): AsyncGenerator<BenchRow> {
    const path = realModel("forward");
    if (path === null) return;
    using device = await openCpuDevice();
    const checkpoint = await openCheckpoint(path);
    using model = await loadModel(checkpoint, { device });
    await checkpoint.close();
    for (const { what, stopAfter } of cases) {
      const peer = () =>
        runPeer("forward.py", {
          gguf: path,
          batch,
          context,
          repetitions,
          ...(stopAfter === null ? {} : { "stop-after": stopAfter }),
        });
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => timeForward(model, stopAfter),
        peer,
      );
      const tokens = batch * context;
      yield {
        bench: "forward",
        case: `${model.name}, ${batch} x ${context} tokens, f32, ${what}`,
        unit: "tokens/s",
        ours: tokens / ours,
        peer: peerSeconds === null ? null : tokens / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: `${device.info.matmul}, ${device.info.threads} threads`,
      };
    }
  },
};

async function timeForward(model: LanguageModel, stopAfter: number | null): Promise<number> {
  const random = new Random(0);
  const tokens = Array.from({ length: batch }, () =>
    Array.from({ length: context }, () => random.integer(model.config.vocabulary)),
  );
  const seconds: number[] = [];
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    const start = performance.now();
    using result =
      stopAfter === null
        ? model.run(tokens)
        : model.run(tokens, {
            capture: [blockSite(stopAfter - 1, "hook_resid_post")],
            logits: "none",
          });
    // Reading one row waits for the device, and consumes the result.
    const last = result.logits ?? [...result.captured.values()][0];
    if (last !== undefined) {
      using row = last.rows(0, 1);
      await row.floats();
    }
    if (repetition > 0) seconds.push((performance.now() - start) / 1000); // the first pays for allocation
  }
  return median(seconds);
}
