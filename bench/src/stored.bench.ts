import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random, storedBlock, type StoredFormat, toF16Bits } from "@latentkit/core";
import { type Device, linear, type StoredActivations } from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";

const rows = 49_152;
const columns = 576;
const repetitions = 25;

interface Case {
  readonly format: StoredFormat;
  readonly activations: StoredActivations;
}

const cases: readonly Case[] = [
  { format: "bf16", activations: "f32" },
  { format: "f16", activations: "f32" },
  { format: "q8_0", activations: "f32" },
  { format: "q8_0", activations: "i16" },
  { format: "q4_0", activations: "f32" },
  { format: "q4_1", activations: "f32" },
  { format: "q4_1", activations: "i16" },
];

/** A matrix as it is stored times a vector, what generating a token does, beside PyTorch's product in f32. */
export const storedBench: Bench = {
  name: "stored",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice();
    const { threads } = device.info;
    for (const each of cases) {
      const { ours, peerSeconds, peerName } = await compareSeconds(
        () => time(device, each),
        () => runPeer("stored.py", { rows, columns, repetitions, threads }),
      );
      const { elements, bytes } = storedBlock(each.format);
      const moved = ((rows * columns) / elements) * bytes;
      yield {
        bench: "stored",
        case: `${columns} x ${rows} matrix times vector, ${each.format}, activations ${each.activations}, ${(moved / ours / 1e9).toFixed(1)} GB/s of weights`,
        unit: "products/s",
        ours: 1 / ours,
        peer: peerSeconds === null ? null : 1 / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: `WebAssembly, ${threads} threads`,
      };
    }
  },
};

/** Median seconds of one product. */
async function time(device: Device, { format, activations }: Case): Promise<number> {
  const weights = storedBytes(format);
  using weight = device.storedWeight(weights, [rows, columns], format, { activations });
  using x = device.tensor(new Random(0).fillNormal(new Float32Array(columns)), [columns]);
  const seconds: number[] = [];
  for (let repetition = 0; repetition < repetitions + 5; repetition++) {
    const start = performance.now();
    using out = linear(x, weight);
    using one = out.rows(0, 1);
    await one.floats(); // waits for the device
    if (repetition >= 5) seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}

/** Blocks of random bits with an ordinary scale; speed does not depend on the numbers. */
function storedBytes(format: StoredFormat): Uint8Array {
  const { elements, bytes } = storedBlock(format);
  const random = new Random(1);
  const block = new Uint8Array(bytes * 1024);
  const view = new DataView(block.buffer);
  for (let at = 0; at < block.length; at++) block[at] = random.integer(256);
  for (let at = 0; at < block.length; at += bytes) {
    view.setUint16(at, toF16Bits(0.01 * random.normal()), true);
    if (format === "q4_1") view.setUint16(at + 2, toF16Bits(0.01 * random.normal()), true);
  }
  const all = new Uint8Array(((rows * columns) / elements) * bytes);
  for (let at = 0; at < all.length; at += block.length)
    all.set(block.subarray(0, Math.min(block.length, all.length - at)), at);
  return all;
}
