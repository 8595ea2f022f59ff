import type { LanguageModel } from "@latentkit/models";
import { alternate, rateRow } from "./alternate.ts";
import { PeerSession } from "./peer-session.ts";
import { randomTokens } from "./random-tokens.ts";
import type { Bench, BenchRow } from "./rows.ts";
import { openBenchGpu } from "./webgpu-adapter.ts";
import { describeShape, llamaShape, randomLlama, storedLlama } from "./webgpu-llama.ts";

const rounds = 5;

/**
 * New tokens a second of greedy generation of one sequence on WebGPU with a KV cache, reading the prompt included. Peer: transformers'
 * `generate` on CUDA, as it comes, in f32 without TF32 and in bf16. Ours computes in f32 on weights that are stored in f32 and in bf16.
 */
export const webGpuDecodeBench: Bench = {
  name: "webgpu-decode",
  async *run(): AsyncGenerator<BenchRow> {
    const gpu = await openBenchGpu();
    using device = gpu.device;
    const shape = llamaShape(gpu.reduced);
    const [promptTokens, newTokens] = gpu.reduced ? [8, 8] : [32, 128];
    using session = PeerSession.open("webgpu_llama.py");
    const [prompt = []] = randomTokens(1, promptTokens, shape.vocabulary);
    for (const dtype of ["f32", "bf16"] as const) {
      using model = dtype === "f32" ? randomLlama(device, shape) : await storedLlama(device, shape);
      const run = () => generateOnce(model, prompt, newTokens);
      const peer = async () =>
        (await session?.ask({ how: "decode", shape, dtype, prompt, new: newTokens })) ?? null;
      // Each side's first run pays for compilation and allocation.
      await run();
      await peer();
      const times = await alternate(rounds, run, [peer]);
      yield rateRow(
        {
          bench: "webgpu-decode",
          case: `${describeShape(shape)}, 1 x ${promptTokens} tokens, ${newTokens} new, greedy, weights in ${dtype}${dtype === "f32" ? "" : `, the peer all in ${dtype}`}`,
          unit: "tokens/s",
          device: gpu.name,
        },
        newTokens,
        times.ours,
        times.peers[0],
      );
    }
  },
};

/** Seconds of one generation, the first token included. */
async function generateOnce(
  model: LanguageModel,
  prompt: readonly number[],
  maxTokens: number,
): Promise<number> {
  const start = performance.now();
  const made = model.generate({ prompts: [{ tokens: prompt }], maxTokens, ignoreEos: true });
  for await (const { token } of made) if (token < 0) return Number.NaN;
  return (performance.now() - start) / 1000;
}
