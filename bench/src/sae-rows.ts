import type { Device } from "@latentkit/tensor";
import { runPeer } from "./peer.ts";
import { type BenchRow, compareSeconds } from "./rows.ts";
import type { TrainingCase, TrainingSizes } from "./sae-cases.ts";
import { timeSteps } from "./sae-steps.ts";

/** What a row of SAE training says beside its times. */
export interface TrainingRowOptions {
  readonly bench: string;
  readonly sizes: TrainingSizes;
  /** Of our products, in words. */
  readonly precision: string;
  readonly unit: string;
  readonly device: string;
  /** `bf16` is automatic mixed precision, as SAELens's `autocast` has it. The device `auto` is CUDA where there is one. */
  readonly peer: { readonly dtype: "bf16" | "f32"; readonly device: "auto" | "cpu" };
}

/** One case of training, ours and SAELens's in turn. The case names the L0 that each side had. */
export async function compareTraining(
  device: Device,
  trained: TrainingCase,
  options: TrainingRowOptions,
): Promise<BenchRow> {
  const { batch, dIn, dSae } = options.sizes;
  let [l0, peerL0] = [Number.NaN, Number.NaN];
  const { ours, peerSeconds, peerName } = await compareSeconds(
    async () => {
      const times = await timeSteps(device, trained.config, { dIn });
      l0 = times.l0;
      return times.seconds;
    },
    async () => {
      const run = await runPeer("sae_training.py", { ...trained.peer, ...options.peer });
      peerL0 = run?.l0 ?? peerL0;
      return run;
    },
  );
  const measured = `L0 ${l0.toFixed(0)}${peerSeconds === null ? "" : `, the peer's ${peerL0.toFixed(0)}`}`;
  return {
    bench: options.bench,
    case: `${trained.architecture}, d ${dIn}, F ${dSae}, batch ${batch}, ${options.precision}, ${trained.regime} (${measured})`,
    unit: options.unit,
    ours: batch / ours,
    peer: peerSeconds === null ? null : batch / peerSeconds,
    peerName,
    ratio: peerSeconds === null ? null : peerSeconds / ours,
    device: options.device,
  };
}
