import {
  trainLanguageModel as train,
  type TrainLanguageModelOptions as Options,
  type TrainLanguageModelResult,
} from "../train-language-model.ts";
import { checkpointFolder } from "./checkpoint-folder.ts";

/** Options of this {@link trainLanguageModel}. */
export interface TrainLanguageModelOptions extends Omit<Options, "checkpoints"> {
  /** Folder for checkpoints and `metrics.jsonl`; a run that stopped goes on from there. None by default. */
  readonly checkpointDir?: string | undefined;
}

/** `trainLanguageModel` of `@latentkit/training`, with checkpoints in a folder. */
export function trainLanguageModel({
  checkpointDir,
  ...options
}: TrainLanguageModelOptions): Promise<TrainLanguageModelResult> {
  return train({
    ...options,
    checkpoints: checkpointDir === undefined ? undefined : checkpointFolder(checkpointDir),
  });
}
