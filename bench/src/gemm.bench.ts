import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { type Device, linear, matmul, type Tensor } from "@latentkit/tensor";
import { PeerSession } from "./peer-session.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

interface Product {
  readonly what: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Bias and ReLU. */
  readonly epilogue?: boolean;
}

const square = (n: number): Product => ({ what: "square", m: n, n, k: n });
/** Rows of activations times a weight [n, k], as a linear layer has it. */
const layer = (what: string, m: number, k: number, n: number): Product => ({
  what,
  m,
  n,
  k,
  transposeB: true,
});

const products: readonly Product[] = [
  square(512),
  square(1024),
  square(2048),
  square(4096),
  layer("attention projection", 1024, 576, 576),
  layer("MLP up", 1024, 576, 1536),
  layer("MLP down", 1024, 1536, 576),
  layer("SAE encoder", 4096, 576, 16_384),
  { ...layer("SAE encoder with bias and ReLU", 4096, 576, 16_384), epilogue: true },
  { what: "SAE weight gradient, a transposed", m: 16_384, n: 576, k: 4096, transposeA: true },
  layer("one token, projection", 1, 576, 1536),
  layer("one token, vocabulary", 1, 576, 49_152),
  layer("4 tokens, vocabulary", 4, 576, 49_152),
  layer("16 tokens, vocabulary", 16, 576, 49_152),
  layer("32 tokens, projection", 32, 576, 576),
  layer("32 tokens, MLP up", 32, 576, 1536),
];

/** Time for the repetitions of one side of one case. */
const secondsEach = 0.4;

/** Matrix products through the provider that `"auto"` takes, on all threads, beside PyTorch. */
export const gemmBench: Bench = {
  name: "gemm",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    using peer = PeerSession.open("gemm.py");
    for (const product of products) {
      const { m, n, k, transposeA = false, transposeB = false, epilogue = false } = product;
      const question = { m, n, k, transposeA, transposeB, epilogue, seconds: secondsEach };
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => Promise.resolve(timeProduct(device, product)),
        () => (peer === null ? Promise.resolve(null) : peer.ask(question)),
      );
      const gflop = (2 * m * n * k) / 1e9;
      yield {
        bench: "gemm",
        case: `[${m} x ${k}] x [${k} x ${n}], f32, ${product.what}`,
        unit: "GFLOP/s",
        ours: gflop / ours,
        peer: peerSeconds === null ? null : gflop / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: `${device.info.matmul}, ${device.info.threads} threads`,
      };
    }
  },
};

/** Median seconds of a product; its output is allocated each time, as the peer's is. */
function timeProduct(device: Device, product: Product): number {
  const { m, n, k, transposeA = false, transposeB = false, epilogue = false } = product;
  const random = new Random(1);
  const pool = random.fillNormal(new Float32Array(1 << 16));
  const normal = (shape: readonly [number, number]): Tensor => {
    const data = new Float32Array(shape[0] * shape[1]);
    for (let at = 0; at < data.length; at += pool.length)
      data.set(pool.subarray(0, Math.min(pool.length, data.length - at)), at);
    return device.tensor(data, shape);
  };
  using a = normal(transposeA ? [k, m] : [m, k]);
  using b = normal(transposeB ? [n, k] : [k, n]);
  using bias = device.full([n], 0.5);
  const run = (): void => {
    using _out = epilogue
      ? linear(a, b, bias, { activation: "relu" })
      : matmul(a, b, { transposeA, transposeB });
  };
  run();
  const seconds: number[] = [];
  const until = performance.now() + secondsEach * 1000;
  while (seconds.length < 3 || performance.now() < until) {
    const start = performance.now();
    run();
    seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}
