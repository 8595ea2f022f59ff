import { openCpuDevice } from "@latentkit/backend-cpu";
import { Sae, type SaeConfigInput } from "@latentkit/sae";
import { type Device, slice } from "@latentkit/tensor";
import { benchThreads, clock, rateUnit } from "./clock.ts";
import { runPeer } from "./peer.ts";
import { type Bench, type BenchRow, compareSeconds, median } from "./rows.ts";
import { cpuSizes, gaussianRows, thresholdFor } from "./sae-cases.ts";
import { markedDevice } from "./size.ts";

const { dIn, dSae, batch, l0 } = cpuSizes;
/** Rows that are encoded at a time: the dense pre-activations exist meanwhile. */
const blockRows = 512;
const rounds = 5;
/** Unit rows fire so many of `dSae` above it. */
const threshold = thresholdFor(l0 / dSae, dIn);

const kinds = [
  { name: "jumprelu", config: { architecture: "jumprelu" }, threshold },
  { name: "topk", config: { architecture: "topk", k: l0 }, threshold: null },
] as const satisfies readonly {
  name: string;
  config: Pick<SaeConfigInput, "architecture"> & { k?: number };
  threshold: number | null;
}[];

/**
 * Rows a second that an SAE encodes, as dashboards do: to the host, indices and values. The peer's `encode` gives the dense matrix of
 * latents, which is on the host already; looking for what fired in it is not counted.
 */
export const saeEncodeBench: Bench = {
  name: "sae-encode",
  async *run(): AsyncGenerator<BenchRow> {
    using device = await openCpuDevice({ threads: benchThreads });
    for (const kind of kinds) {
      using sae = randomSae(device, kind);
      let [active, peerL0] = [Number.NaN, Number.NaN];
      const { ours, peerSeconds, peerName } = await compareSeconds(
        async () => {
          const encoded = await encodeOften(device, sae);
          active = encoded.l0;
          return encoded.seconds;
        },
        async () => {
          const run = await runPeer("sae_encode.py", {
            architecture: kind.name,
            "d-in": dIn,
            "d-sae": dSae,
            batch,
            rounds,
            k: l0,
            threshold,
          });
          peerL0 = run?.l0 ?? peerL0;
          return run;
        },
      );
      const measured = `L0 ${active.toFixed(0)}${peerSeconds === null ? "" : `, the peer's ${peerL0.toFixed(0)}`}`;
      yield {
        bench: "sae-encode",
        case: `${kind.name}, d ${dIn}, F ${dSae}, ${batch} rows, f32 (${measured})`,
        unit: rateUnit("tokens"),
        ours: batch / ours,
        peer: peerSeconds === null ? null : batch / peerSeconds,
        peerName,
        ratio: peerSeconds === null ? null : peerSeconds / ours,
        device: markedDevice(`${device.info.matmul}, ${device.info.threads} threads`),
      };
    }
  },
};

function randomSae(device: Device, kind: (typeof kinds)[number]): Sae {
  const rows = gaussianRows(dSae, dIn, 2);
  for (let row = 0; row < dSae; row++) {
    const one = rows.subarray(row * dIn, (row + 1) * dIn);
    const norm = Math.sqrt(one.reduce((sum, value) => sum + value * value, 0));
    for (const [column, value] of one.entries()) one[column] = value / norm;
  }
  return Sae.fromWeights(
    device,
    { ...kind.config, dIn, dSae },
    {
      encoderRows: rows,
      decoder: rows,
      encoderBias: new Float32Array(dSae),
      decoderBias: new Float32Array(dIn),
      threshold: kind.threshold === null ? null : new Float32Array(dSae).fill(kind.threshold),
    },
  );
}

/** Median seconds of encoding the batch, after one that pays for allocation, with the mean number of latents a row. */
async function encodeOften(device: Device, sae: Sae): Promise<{ seconds: number; l0: number }> {
  using x = device.tensor(gaussianRows(batch, dIn, 3), [batch, dIn]);
  const times: number[] = [];
  let active = 0;
  for (let round = 0; round <= rounds; round++) {
    active = 0;
    const start = clock();
    for (let row = 0; row < batch; row += blockRows) {
      using latents = sae.encode(x.rows(row, Math.min(batch, row + blockRows)));
      const counts = await latents.counts.integers();
      // Rows have room for more than fired; what nobody used stays on the device, as in dashboards.
      const end = counts.reduce((most, count) => Math.max(most, count), 0);
      using indices = slice(latents.indices, { axis: 1, start: 0, end });
      using values = slice(latents.values, { axis: 1, start: 0, end });
      await indices.integers();
      await values.floats();
      for (const count of counts) active += count;
    }
    times.push(clock() - start);
  }
  return { seconds: median(times.slice(1)), l0: active / batch };
}
