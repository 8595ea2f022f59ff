import { blockSite, type LanguageModel } from "@latentkit/models";
import { alternate, rateRow } from "./alternate.ts";
import { PeerSession } from "./peer-session.ts";
import { randomTokens } from "./random-tokens.ts";
import type { Bench, BenchRow } from "./rows.ts";
import { openBenchGpu } from "./webgpu-adapter.ts";
import { describeShape, llamaShape, randomLlama } from "./webgpu-llama.ts";

const rounds = 5;
/** Our products, and what the peer computes beside them. */
const precisions = [
  { products: "f32", name: "f32", dtype: "f32" },
  { products: "f16", name: "products in f16, the peer in bf16", dtype: "bf16" },
] as const;

/**
 * Tokens a second of harvesting the residual stream after half of the layers on WebGPU, to the host in f32, with everything after it left
 * out. Peer: transformers on CUDA with a forward hook that ends the pass there, in f32 without TF32 and in bf16, to the host in f32.
 */
export const webGpuHarvestBench: Bench = {
  name: "webgpu-harvest",
  async *run(): AsyncGenerator<BenchRow> {
    using session = PeerSession.open("webgpu_llama.py");
    for (const { products, name, dtype } of precisions) {
      const gpu = await openBenchGpu(products);
      using device = gpu.device;
      const shape = llamaShape(gpu.reduced);
      const [batch, context] = gpu.reduced ? [2, 16] : [64, 128];
      const layers = shape.layers / 2;
      const tokens = randomTokens(batch, context, shape.vocabulary);
      using model = randomLlama(device, shape);
      const run = () => harvestOnce(model, tokens, layers);
      const peer = async () =>
        (await session?.ask({ how: "harvest", shape, dtype, batch, context, layers })) ?? null;
      // Each side's first run pays for compilation and allocation.
      await run();
      await peer();
      const times = await alternate(rounds, run, [peer]);
      yield rateRow(
        {
          bench: "webgpu-harvest",
          case: `${describeShape(shape)}, ${batch} x ${context} tokens, ${blockSite(layers - 1, "hook_resid_post")}, stop there, ${name}`,
          unit: "tokens/s",
          device: gpu.name,
        },
        batch * context,
        times.ours,
        times.peers[0],
      );
    }
  },
};

/** Seconds of one run, with the values on the host. */
async function harvestOnce(
  model: LanguageModel,
  tokens: readonly (readonly number[])[],
  layers: number,
): Promise<number> {
  const site = blockSite(layers - 1, "hook_resid_post");
  const start = performance.now();
  using result = model.run(tokens, { capture: [site], logits: "none" });
  await result.captured.get(site)?.floats();
  return (performance.now() - start) / 1000;
}
