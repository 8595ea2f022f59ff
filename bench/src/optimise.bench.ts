import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import { adamW, type Device, sgd } from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const size = 20_000_000;
const repetitions = 15;

const cases = [
  { optimiser: "adam", what: "AdamW" },
  { optimiser: "sgd", what: "SGD with momentum" },
] as const;

/** Fused optimiser updates of one large tensor, beside PyTorch's fused ones. */
export const optimiseBench: Bench = {
  name: "optimise",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    const { threads } = device.info;
    for (const { optimiser, what } of cases) {
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => timeUpdates(device, optimiser),
        () => runPeer("optimise.py", { optimiser, size, repetitions, threads }),
      );
      yield {
        bench: "optimise",
        case: `${what}, ${size / 1e6} M parameters, f32`,
        unit: "M parameters/s",
        ours: size / 1e6 / ours,
        peer: peerSeconds === null ? null : size / 1e6 / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: `WebAssembly, ${threads} threads`,
      };
    }
  },
};

/** Median seconds of an update. */
async function timeUpdates(
  device: Device,
  kind: (typeof cases)[number]["optimiser"],
): Promise<number> {
  const random = new Random(0);
  const values = Float32Array.from({ length: size }, () => random.uniform() - 0.5);
  using parameter = device.tensor(values, [size]);
  using gradient = device.tensor(values, [size]);
  using optimiser =
    kind === "adam"
      ? adamW(parameter, { learningRate: 1e-3, weightDecay: 0.1 })
      : sgd(parameter, { learningRate: 1e-3, momentum: 0.9 });
  const seconds: number[] = [];
  for (let repetition = 0; repetition < repetitions + 2; repetition++) {
    const start = performance.now();
    optimiser.step(gradient);
    using one = parameter.rows(0, 1);
    await one.item(); // waits for the device
    if (repetition >= 2) seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}
