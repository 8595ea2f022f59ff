import { arrayBatches } from "@latentkit/activations";
import { trainSae, type TrainConfigInput } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { clock } from "./clock.ts";
import { median } from "./rows.ts";
import { gaussianRows } from "./sae-cases.ts";

/** What {@link timeSteps} gives. */
export interface StepTimes {
  /** Median seconds of a step. */
  readonly seconds: number;
  /** Mean L0 of the steps before the last one. */
  readonly l0: number;
}

/**
 * Times training steps on two batches in memory, of which each step copies one to the device. The first step is left out, and so is the last,
 * which ends with an evaluation. Each step reads its loss, so that on a device that runs ahead it is over when it is counted.
 *
 * @param options.afterStep called once for every step, also for those that are left out
 */
export async function timeSteps(
  device: Device,
  config: TrainConfigInput,
  options: { readonly dIn: number; readonly afterStep?: (() => void) | undefined },
): Promise<StepTimes> {
  const { dIn, afterStep } = options;
  const { batchSize } = config;
  const data = gaussianRows(2 * batchSize, dIn);
  const times: number[] = [];
  let l0 = Number.NaN;
  let last = clock();
  const { sae } = await trainSae({
    device,
    config,
    batches: arrayBatches(data, dIn, 0),
    heldOut: data.subarray(0, 64 * dIn),
    onProgress: ({ figures }) => {
      const now = clock();
      times.push(now - last);
      l0 = figures?.["l0"] ?? l0;
      afterStep?.();
      last = clock();
    },
  });
  sae.dispose();
  return { seconds: median(times.slice(1, -1)), l0 };
}
