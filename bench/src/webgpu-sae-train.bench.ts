import { tuneMatmul } from "@latentkit/backend-webgpu";
import type { Bench, BenchRow } from "./rows.ts";
import { type TrainingSizes, trainingCases } from "./sae-cases.ts";
import { compareTraining } from "./sae-rows.ts";
import { openBenchGpu } from "./webgpu-adapter.ts";

/** The sizes of the target, and those for adapters that compute on the CPU. */
const sizesOf = (reduced: boolean): TrainingSizes =>
  reduced
    ? { dIn: 64, dSae: 512, batch: 128, k: 8, l0: 8, steps: 4 }
    : { dIn: 2304, dSae: 65_536, batch: 4096, k: 64, l0: 60, steps: 12 };

/** Our products, and what the peer computes beside them. */
const precisions = [
  { products: "f32", name: "f32", peer: "f32" },
  { products: "f32", name: "f32, the peer in bf16", peer: "bf16" },
  { products: "f16", name: "products in f16, the peer in bf16", peer: "bf16" },
] as const;

/**
 * Presentations a second of SAE training on WebGPU, TopK and JumpReLU, beside SAELens on CUDA in f32 without TF32 and in bf16 (`autocast`).
 * Both sides copy each batch from the host, and a step counts until its loss is on the host again.
 */
export const webGpuSaeTrainBench: Bench = {
  name: "webgpu-sae-train",
  async *run(): AsyncGenerator<BenchRow> {
    for (const { products, name, peer } of precisions) {
      const gpu = await openBenchGpu(products);
      using device = gpu.device;
      const sizes = sizesOf(gpu.reduced);
      const { batch, dIn, dSae } = sizes;
      if (!gpu.reduced) {
        // The encoder's product, of a block and of a batch; W_enc is stored as [F, d].
        const encoder = { n: dSae, k: dIn, transposeB: true };
        await tuneMatmul(device, [
          { m: 512, ...encoder },
          { m: batch, ...encoder },
        ]);
      }
      for (const trained of trainingCases(sizes)) {
        yield await compareTraining(device, trained, {
          bench: "webgpu-sae-train",
          sizes,
          precision: name,
          unit: "tokens/s",
          device: gpu.name,
          peer: { dtype: peer, device: "auto" },
        });
      }
    }
  },
};
