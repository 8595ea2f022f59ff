import { defaultDevice, init, numpy as np } from "@jax-js/jax";
import { openCpuDevice, simdFlavour } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { type Device, matmul } from "@latentkit/tensor";
import { type Bench, type BenchRow, median } from "./rows.ts";
import { registerCeiling } from "./wasm-ceiling.ts";

const secondsEach = 0.8;
const rounds = 3;

/** Our own matrix product on one thread, beside jax-js's, in turn; the share of what registers alone allow is in the case. */
export const wasmGemmBench: Bench = {
  name: "wasm-gemm",
  async *run(): AsyncGenerator<BenchRow> {
    await init("wasm");
    defaultDevice("wasm");
    using device = await openCpuDevice({ matmul: "wasm", threads: 1 });
    const flavour = simdFlavour();
    const ceiling = await registerCeiling(flavour === "relaxed");
    for (const size of [512, 1024]) {
      const gflop = (2 * size ** 3) / 1e9;
      const data = new Float32Array(size * size);
      new Random(1).fillNormal(data);
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < rounds; round++) {
        ours.push(timeOurs(device, data, size));
        theirs.push(await timeJax(data, size));
      }
      const [mine, peer] = [gflop / Math.min(...ours), gflop / Math.min(...theirs)];
      yield {
        bench: "wasm-gemm",
        case: `[${size} x ${size}] x [${size} x ${size}], f32, Node ${process.versions.node}, ${flavour} SIMD, ${Math.round((100 * mine) / ceiling)}% of the register-only ${ceiling.toFixed(0)}`,
        unit: "GFLOP/s",
        ours: mine,
        peer,
        peerName: "jax-js 0.1.25, wasm",
        ratio: mine / peer,
        device: "WebAssembly, 1 thread",
      };
    }
  },
};

function timeOurs(device: Device, data: Float32Array<ArrayBuffer>, size: number): number {
  using a = device.tensor(data, [size, size]);
  using b = device.tensor(data, [size, size]);
  const seconds: number[] = [];
  const until = performance.now() + secondsEach * 1000;
  while (seconds.length < 3 || performance.now() < until) {
    const start = performance.now();
    using _out = matmul(a, b);
    seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}

async function timeJax(data: Float32Array<ArrayBuffer>, size: number): Promise<number> {
  const [a, b] = [np.array(data).reshape([size, size]), np.array(data).reshape([size, size])];
  const seconds: number[] = [];
  const until = performance.now() + secondsEach * 1000;
  while (seconds.length < 3 || performance.now() < until) {
    const start = performance.now();
    const out = np.matmul(a.ref, b.ref);
    await out.blockUntilReady();
    seconds.push((performance.now() - start) / 1000);
    out.dispose();
  }
  a.dispose();
  b.dispose();
  return median(seconds);
}
