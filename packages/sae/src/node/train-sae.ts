import {
  trainSae as train,
  type TrainSaeOptions as Options,
  type TrainSaeResult,
} from "../train/train-sae.ts";
import { checkpointFolder } from "./checkpoint-folder.ts";

/** Options of this {@link trainSae}. */
export interface TrainSaeOptions extends Omit<Options, "checkpoints"> {
  /** Folder for checkpoints and `metrics.jsonl`; a run that stopped goes on from there. None by default. */
  readonly checkpointDir?: string | undefined;
}

/** `trainSae` of `@latentkit/sae`, with checkpoints in a folder. */
export function trainSae({ checkpointDir, ...options }: TrainSaeOptions): Promise<TrainSaeResult> {
  return train({
    ...options,
    checkpoints: checkpointDir === undefined ? undefined : checkpointFolder(checkpointDir),
  });
}
