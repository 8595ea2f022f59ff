import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import {
  add,
  exp,
  gelu,
  geluTanh,
  less,
  logSumExp,
  siluMul,
  sum,
  type Tensor,
  variance,
  where,
} from "@latentkit/tensor";
import { PeerSession } from "./peer-session.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const rows = 1024;
const columns = 8192;
const repetitions = 15;
/** Runs that are not counted: they start the threads and take the memory. */
const warmUps = 5;

interface ElementwiseCase {
  /** As the peer's script names it, too. */
  readonly operator: string;
  readonly run: (x: Tensor, y: Tensor) => Tensor;
}

const cases: readonly ElementwiseCase[] = [
  { operator: "siluMul", run: siluMul },
  { operator: "gelu", run: gelu },
  { operator: "geluTanh", run: geluTanh },
  { operator: "exp", run: exp },
  { operator: "add", run: add },
  { operator: "where", run: smaller },
  { operator: "sum", run: (x) => sum(x) },
  { operator: "sumOfColumns", run: (x) => sum(x, { axis: 0 }) },
  { operator: "logSumExp", run: (x) => logSumExp(x, { axis: -1 }) },
  { operator: "variance", run: (x) => variance(x, { axis: -1 }) },
];

function smaller(x: Tensor, y: Tensor): Tensor {
  using condition = less(x, y);
  return where(condition, x, y);
}

/** Elementwise operators and reductions of [1024, 8192] numbers, beside PyTorch on as many threads. */
export const elementwiseBench: Bench = {
  name: "elementwise",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    const { threads } = device.info;
    using peer = PeerSession.open("elementwise.py");
    const random = new Random(0);
    const make = (): Tensor =>
      device.tensor(random.fillNormal(new Float32Array(rows * columns)), [rows, columns]);
    using x = make();
    using y = make();
    for (const { operator, run } of cases) {
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => Promise.resolve(time(() => run(x, y))),
        () => peer?.ask({ operator, rows, columns, repetitions, threads }) ?? Promise.resolve(null),
      );
      yield {
        bench: "elementwise",
        case: `${operator}, [${rows}, ${columns}], f32`,
        unit: "Melements/s",
        ours: (rows * columns) / ours / 1e6,
        peer: peerSeconds === null ? null : (rows * columns) / peerSeconds / 1e6,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: `own kernels, ${threads} threads`,
      };
    }
  },
};

/** Median seconds. */
function time(run: () => Tensor): number {
  const seconds: number[] = [];
  for (let repetition = 0; repetition < repetitions + warmUps; repetition++) {
    const start = performance.now();
    // Kernels of the CPU device have run when they return. The tensor is freed, as it is in Python.
    run().dispose();
    if (repetition >= warmUps) seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}
