import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import {
  type Device,
  encodeTopK,
  fill,
  sparseDecode,
  sparseDot,
  sparseOuterAdd,
} from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const [batch, dIn, dSae, k] = [4096, 576, 16_384, 64];
const repetitions = 9;

/** Decode, gradient to the latents and gradient to the decoder of sparse rows, beside the dense products. */
export const sparseBench: Bench = {
  name: "sparse",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    const { ours, peerSeconds, peerName } = await compareSeconds(
      () => Promise.resolve(timeSparse(device)),
      () => runPeer("sparse.py", { batch, "d-in": dIn, "d-sae": dSae, k, repetitions: 3 }),
    );
    yield {
      bench: "sparse",
      case: `decode and its gradients, d ${dIn}, F ${dSae}, k ${k}, batch ${batch}, f32`,
      unit: "tokens/s",
      ours: batch / ours,
      peer: peerSeconds === null ? null : batch / peerSeconds,
      peerName,
      ratio: peerSeconds === null ? null : peerSeconds / ours,
      device: `WebAssembly, ${device.info.threads} threads`,
    };
  },
};

function timeSparse(device: Device): number {
  return device.scope(() => {
    const random = new Random(1);
    const normal = (rows: number, columns: number): Float32Array =>
      random.fillNormal(new Float32Array(rows * columns));
    const rows = encodeTopK(device.tensor(normal(batch, dSae), [batch, dSae]), k);
    const weight = device.tensor(normal(dSae, dIn), [dSae, dIn]);
    const bias = device.tensor(normal(1, dIn), [dIn]);
    const gradient = device.tensor(normal(batch, dIn), [batch, dIn]);
    const into = device.zeros([dSae, dIn]);
    const seconds: number[] = [];
    for (let repetition = 0; repetition < repetitions + 2; repetition++) {
      const start = performance.now();
      device.scope(() => {
        sparseDecode(rows, weight, bias);
        sparseDot(rows, weight, gradient);
        fill(into, 0); // the dense peer writes a new gradient too
        sparseOuterAdd(rows, rows.values, gradient, into);
      });
      seconds.push((performance.now() - start) / 1000);
    }
    return median(seconds.slice(2));
  });
}
