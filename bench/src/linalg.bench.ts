import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import {
  type Matrix,
  matrix,
  multiplyTransposed,
  qr,
  randomizedSvd,
  svd,
  symmetricEigen,
} from "@latentkit/linalg";
import type { Device } from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

interface LinalgCase {
  readonly work: "eigen" | "qr" | "svd" | "randomized";
  readonly title: string;
  readonly rows: number;
  readonly columns: number;
  /** Done once before the clock runs. */
  readonly prepare: (device: Device, a: Matrix) => () => unknown;
}

const rank = 64;
const repetitions = 3;

const cases: readonly LinalgCase[] = [
  ...[576, 1152].map((size): LinalgCase => ({
    work: "eigen",
    title: `symmetric eigenvectors, ${size} x ${size}, f64`,
    rows: size,
    columns: size,
    prepare(_, a) {
      const gram = multiplyTransposed(a, a);
      return () => symmetricEigen(gram);
    },
  })),
  {
    work: "qr",
    title: "thin QR, 4096 x 576, f64",
    rows: 4096,
    columns: 576,
    prepare: (_, a) => () => qr(a),
  },
  {
    work: "svd",
    title: "thin SVD, 4096 x 576, f64",
    rows: 4096,
    columns: 576,
    prepare: (_, a) => () => svd(a),
  },
  {
    work: "randomized",
    title: `leading ${rank} singular vectors, 49152 x 576, products in f32 (peer: svds)`,
    rows: 49_152,
    columns: 576,
    prepare(device, a) {
      const tensor = device.tensor(Float32Array.from(a.data), [a.rows, a.columns]);
      return () => randomizedSvd(tensor, { rank, seed: 1 });
    },
  },
];

/** Decompositions beside LAPACK's, which runs on all threads; ours run on one, in WebAssembly. */
export const linalgBench: Bench = {
  name: "linalg",
  async *run(): AsyncGenerator<BenchRow> {
    for (const { work, title, rows, columns, prepare } of cases) {
      using device = await openCpuDevice();
      const random = new Random(1);
      const a = matrix(
        rows,
        columns,
        Float64Array.from({ length: rows * columns }, () => random.normal()),
      );
      const run = prepare(device, a);
      const { ours, peerSeconds, peerName } = await compareSeconds(
        async () => {
          await run();
          const seconds: number[] = [];
          for (let repetition = 0; repetition < repetitions; repetition++) {
            const start = performance.now();
            await run();
            seconds.push((performance.now() - start) / 1000);
          }
          return median(seconds);
        },
        () => runPeer("linalg.py", { work, rows, columns, rank, repetitions }),
      );
      yield {
        bench: "linalg",
        case: title,
        unit: "runs/s",
        ours: 1 / ours,
        peer: peerSeconds === null ? null : 1 / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device:
          work === "randomized"
            ? `${device.info.matmul}, ${device.info.threads} threads`
            : "WebAssembly, 1 thread",
      };
    }
  },
};
