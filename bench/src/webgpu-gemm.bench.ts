import { tuneMatmul } from "@latentkit/backend-webgpu";
import { Random } from "@latentkit/core";
import { type Device, matmul } from "@latentkit/tensor";
import { PeerSession } from "./peer-session.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";
import { openBenchGpu } from "./webgpu-adapter.ts";

/** Products issued before one waits: a read costs a round trip, which is not the product's. */
const productsEach = 10;

/**
 * Square products on WebGPU by tuned plans, in f32 and with factors in f16, beside PyTorch on CUDA in f32 without TF32 and in bf16. Run it
 * on a machine with a GPU; on a software adapter the size is 256 and not 4096, nothing is tuned, and the row says so.
 */
export const webGpuGemmBench: Bench = {
  name: "webgpu-gemm",
  async *run(): AsyncGenerator<BenchRow> {
    using peer = PeerSession.open("webgpu_gemm.py");
    for (const products of ["f32", "f16"] as const) {
      const { device: opened, reduced, name } = await openBenchGpu(products);
      using device = opened;
      const n = reduced ? 256 : 4096;
      if (!reduced) await tuneMatmul(device, [{ m: n, n, k: n }]);
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => secondsOf(device, n),
        () =>
          peer === null
            ? Promise.resolve(null)
            : peer.ask({ n, dtype: products === "f16" ? "bf16" : "f32" }),
      );
      const gflop = (2 * n ** 3) / 1e9;
      yield {
        bench: "webgpu-gemm",
        case: `[${n} x ${n}] x [${n} x ${n}], ${products}`,
        unit: "GFLOP/s",
        ours: gflop / ours,
        peer: peerSeconds === null ? null : gflop / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: name,
      };
    }
  },
};

/** Median seconds of one product, of 5 rounds. */
async function secondsOf(device: Device, n: number): Promise<number> {
  const random = new Random(1);
  const normal = () => device.tensor(random.fillNormal(new Float32Array(n * n)), [n, n]);
  using a = normal();
  using b = normal();
  const round = async (count: number): Promise<number> => {
    const start = performance.now();
    let last = matmul(a, b);
    for (let turn = 1; turn < count; turn++) {
      last.dispose();
      last = matmul(a, b);
    }
    using first = last.rows(0, 1);
    await first.floats();
    last.dispose();
    return (performance.now() - start) / 1000 / count;
  };
  await round(1);
  const seconds: number[] = [];
  for (let turn = 0; turn < 5; turn++) seconds.push(await round(productsEach));
  return median(seconds);
}
