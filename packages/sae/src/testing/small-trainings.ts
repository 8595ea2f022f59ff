import { createReferenceBackend, Device } from "@latentkit/tensor";
import type { CheckpointStore } from "../train/checkpoint.ts";
import type { SaeTraining } from "../train/train-saes.ts";
import { smallRun } from "./small-run.ts";

/** Two SAEs on one stream, each with its own checkpoints, which fall on different steps. */
export function smallTrainings(
  steps: number,
  checkpoints: (name: string) => CheckpointStore,
): SaeTraining[] {
  const device = new Device(createReferenceBackend());
  const { batches } = smallRun("topk", device, steps);
  return (["topk", "jumprelu-raw"] as const).map((name, index) => {
    const { config, heldOut } = smallRun(name, device, steps);
    const own = { ...config, checkpointEvery: 3 + index, evaluateEvery: 20 };
    return { name, config: own, batches, heldOut, checkpoints: checkpoints(name) };
  });
}
