import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random, type Shape, sizeOf } from "@latentkit/core";
import { attention, type Device, Tape, type Tensor } from "@latentkit/tensor";
import { PeerSession } from "./peer-session.ts";
import { type Bench, type BenchRow, median } from "./rows.ts";

interface Case {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly gradients: boolean;
}

const dHead = 64;
const prefill = { batch: 1, queries: 1024, keys: 1024, heads: 12, kvHeads: 12 };
const grouped = { ...prefill, heads: 9, kvHeads: 3 };

const cases: readonly Case[] = [
  { ...prefill, gradients: false },
  { ...prefill, gradients: true },
  { ...prefill, batch: 4, gradients: false },
  { ...prefill, batch: 4, gradients: true },
  { ...grouped, gradients: false },
  { ...grouped, gradients: true },
  { ...grouped, queries: 1, keys: 2048, gradients: false },
];

/** Turns of ours and of the peer; a case's figures are the medians of the turns' medians. */
const turns = 5;

/** Causal attention, forward and with its gradients, beside PyTorch's fused one. */
export const attentionBench: Bench = {
  name: "attention",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    using peer = PeerSession.open("attention.py");
    const { matmul, threads } = device.info;
    for (const each of cases) {
      const { batch, queries, keys, heads, kvHeads, gradients } = each;
      const repetitions = queries === 1 ? 100 : batch === 1 ? 7 : 3;
      const [ours, theirs]: [number[], number[]] = [[], []];
      let peerName: string | null = null;
      for (let turn = 0; turn < turns; turn++) {
        ours.push(await time(device, each, repetitions));
        if (peer === null) continue;
        const run = await peer.ask({ ...each, dHead, repetitions, threads });
        theirs.push(median(run.seconds));
        peerName = run.peer;
      }
      const [seconds, peerSeconds] = [ours, theirs].map(median);
      const compared = peerName !== null && seconds !== undefined && peerSeconds !== undefined;
      const what = gradients ? "forward and gradients" : "forward";
      yield {
        bench: "attention",
        case: `${batch} x ${queries} queries, ${keys} keys, ${heads}/${kvHeads} heads of ${dHead}, causal, f32, ${what}`,
        unit: "calls/s",
        ours: 1 / (seconds ?? Number.NaN),
        peer: compared ? 1 / peerSeconds : null,
        peerName,
        ratio: compared ? peerSeconds / seconds : null,
        device: `${matmul}, ${threads} threads`,
      };
    }
  },
};

async function time(
  device: Device,
  { batch, queries, keys, heads, kvHeads, gradients }: Case,
  repetitions: number,
): Promise<number> {
  const random = new Random(0);
  const normal = (shape: Shape): Tensor =>
    device.tensor(random.fillNormal(new Float32Array(sizeOf(shape)), 1), shape);
  using q = normal([batch, queries, heads, dHead]);
  using k = normal([batch, keys, kvHeads, dHead]);
  using v = normal([batch, keys, kvHeads, dHead]);
  using dOut = normal(q.shape);
  const seconds: number[] = [];
  for (let repetition = 0; repetition < repetitions + 2; repetition++) {
    const start = performance.now();
    using tape = new Tape(device);
    if (gradients) for (const tensor of [q, k, v]) tape.watch(tensor);
    const out = tape.run(() => attention(q, k, v, { scale: 1 / Math.sqrt(dHead) }));
    const results = gradients ? [out, ...tape.gradients(out, [q, k, v], dOut)] : [out];
    // Reading one number waits for the device.
    using flat = (results.at(-1) ?? out).reshape([(results.at(-1) ?? out).size]);
    using one = flat.rows(0, 1);
    await one.floats();
    if (repetition > 1) seconds.push((performance.now() - start) / 1000); // the first pay for allocation
    for (const tensor of results) tensor.dispose();
  }
  return median(seconds);
}
