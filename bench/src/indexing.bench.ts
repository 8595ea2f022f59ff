import { openCpuDevice } from "@latentkit/backend-cpu";
import { RandomKey } from "@latentkit/core";
import {
  type Device,
  embedding,
  randomNormal,
  randomPermutation,
  sort,
  Tape,
  type Tensor,
  topK,
  topKAll,
  transpose,
} from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const repetitions = 7;

interface Case {
  /** As bench/peers/indexing.py names it. */
  readonly work: string;
  readonly title: string;
  /** Elements that are read, or made where nothing is read. */
  readonly elements: number;
  /** Makes the operands, gives the call to time. */
  readonly prepare: (device: Device) => () => unknown;
}

const key = new RandomKey(1);
const [vocabulary, dModel, tokens] = [49_152, 576, 8192];

const cases: readonly Case[] = [
  {
    work: "transpose",
    title: "transpose [4096, 4096]",
    elements: 4096 * 4096,
    prepare(device) {
      const x = randomNormal(device, [4096, 4096], key);
      return () => transpose(x);
    },
  },
  {
    work: "topK",
    title: "top 64 of each row of [1024, 16384]",
    elements: 1024 * 16_384,
    prepare(device) {
      const x = randomNormal(device, [1024, 16_384], key);
      return () => topK(x, 64);
    },
  },
  {
    work: "topKAll",
    title: "top 65536 of all of [1024, 16384]",
    elements: 1024 * 16_384,
    prepare(device) {
      const x = randomNormal(device, [1024, 16_384], key);
      return () => topKAll(x, 65_536);
    },
  },
  {
    work: "sort",
    title: "stable sort of the rows of [1024, 4096]",
    elements: 1024 * 4096,
    prepare(device) {
      const x = randomNormal(device, [1024, 4096], key);
      return () => sort(x);
    },
  },
  {
    work: "randomNormal",
    title: "16 M normals (ours Philox, PyTorch's Mersenne twister)",
    elements: 2 ** 24,
    prepare: (device) => () => randomNormal(device, [2 ** 24], key),
  },
  {
    work: "embeddingGradient",
    title: `gradient of ${tokens} rows of a table [${vocabulary}, ${dModel}]`,
    elements: vocabulary * dModel,
    prepare(device) {
      const table = randomNormal(device, [vocabulary, dModel], key);
      const ids = randomPermutation(device, vocabulary, key).rows(0, tokens);
      const seed = randomNormal(device, [tokens, dModel], key);
      return () => embeddingGradient(table, ids, seed);
    },
  },
];

/** The forward pass is timed as well, here and of PyTorch: it reads few rows, the gradient is a whole table. */
function embeddingGradient(table: Tensor, ids: Tensor, seed: Tensor): Tensor[] {
  using tape = new Tape(table.device);
  tape.watch(table);
  return tape.gradients(
    tape.run(() => embedding(table, ids)),
    [table],
    seed,
  );
}

/** Moving, ordering and drawing numbers beside PyTorch. */
export const indexingBench: Bench = {
  name: "indexing",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    const { threads } = device.info;
    for (const { work, title, elements, prepare } of cases) {
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => Promise.resolve(time(device, prepare)),
        () => runPeer("indexing.py", { work, repetitions, threads }),
      );
      const millions = elements / 1e6;
      yield {
        bench: "indexing",
        case: `${title}, f32`,
        unit: "M elements/s",
        ours: millions / ours,
        peer: peerSeconds === null ? null : millions / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: `WebAssembly, ${threads} threads`,
      };
    }
  },
};

/** Median seconds of a call; kernels of the CPU device run at once. */
function time(device: Device, prepare: (device: Device) => () => unknown): number {
  const seconds: number[] = [];
  device.scope(() => {
    const run = prepare(device);
    for (let repetition = 0; repetition <= repetitions; repetition++) {
      device.scope(() => {
        const start = performance.now();
        run();
        if (repetition > 0) seconds.push((performance.now() - start) / 1000); // the first pays for allocation
      });
    }
  });
  return median(seconds);
}
