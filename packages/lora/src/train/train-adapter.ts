import {
  ConfigError,
  LatentkitError,
  type LongCallOptions,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import {
  adamW,
  clipByGlobalNorm,
  crossEntropy,
  disposeTensors,
  GradientAccumulator,
  linearSchedule,
  type Schedule,
  type Tensor,
  valueAndGrad,
  warmUp,
} from "@latentkit/tensor";
import type { AdapterParameters, LoraAdapter } from "../adapter.ts";
import { effectiveWeights } from "../effective-weights.ts";
import type { AdapterBatch, BatchSource } from "./batch.ts";
import { type AdapterCheckpoints, restoreCheckpoint, takeCheckpoint } from "./checkpoint.ts";
import { type AdapterTraining, type AdapterTrainingInput, parseAdapterTraining } from "./config.ts";
import type { AdapterHistory, AdapterStep } from "./history.ts";

/** What {@link trainAdapter} takes. */
export interface TrainAdapterOptions extends LongCallOptions {
  /** Frozen. */
  readonly model: LanguageModel;
  /** Changed in place. */
  readonly adapter: LoraAdapter;
  readonly batches: BatchSource;
  readonly config: AdapterTrainingInput;
  /** Where the run is kept, and goes on from if there is something; nowhere by default. `adapterCheckpointFile` of `./node` makes one. */
  readonly checkpoints?: AdapterCheckpoints | undefined;
  /** Updates between two checkpoints; 50 by default. There is one after an abort, too. */
  readonly checkpointSteps?: number | undefined;
}

/**
 * Trains A and B by AdamW to predict the targets of the batches; the model's own weights stay as they are. The learning rate rises over
 * the warm-up and then falls in a straight line to 0. The result depends on model, adapter, batches and configuration alone.
 *
 * An abort stops between updates, and the adapter keeps those that were made. With checkpoints, the same call goes on from there and ends
 * with the same bits as if nothing had happened.
 *
 * @throws LatentkitError `ADAPTER_DIVERGED` for a loss or gradients that are not finite; MismatchError `ADAPTER_CHECKPOINT`; ConfigError `ADAPTER_TRAINING`, `BATCH_TARGETS` for an update without a target or targets that do not fit the tokens;
 *   DeviceError, MismatchError, ShapeError as {@link effectiveWeights}; what `model.run` throws; AbortedError
 */
export async function trainAdapter({
  model,
  adapter,
  batches,
  config: input,
  checkpoints,
  checkpointSteps = 50,
  signal,
  onProgress,
}: TrainAdapterOptions): Promise<AdapterHistory> {
  const config = parseAdapterTraining(input);
  const { name, weightsHash } = model.identity();
  const run = { model: { name, weightsHash }, config: { ...config, adapter: adapter.config } };
  const steps: AdapterStep[] = [];
  using optimiser = adamW(adapter.parameters, {
    learningRate: config.learningRate,
    schedule: scheduleOf(config),
    betas: config.betas,
    epsilon: config.epsilon,
    weightDecay: config.weightDecay,
  });
  using sums = new GradientAccumulator<AdapterParameters>();
  const found = (await checkpoints?.load()) ?? null;
  if (found !== null) {
    restoreCheckpoint(adapter, optimiser, run, found);
    steps.push(...found.state.steps);
  }
  const keep = async (): Promise<void> =>
    checkpoints?.save(await takeCheckpoint(adapter, optimiser, run, steps));
  for (let step = steps.length; step < config.steps; step++) {
    // eslint-disable-next-line no-await-in-loop -- once, before the end
    if (signal?.aborted === true && step > (found?.state.steps.length ?? 0)) await keep();
    throwIfAborted(signal, `the adapter has learnt from ${step} steps`);
    const learningRate = Object.values(optimiser.learningRates())[0] ?? 0;
    let loss = 0;
    for (let micro = 0; micro < config.microBatches; micro++) {
      const batch = batches(step * config.microBatches + micro);
      const weight = countTargets(batch);
      if (weight === 0) continue;
      const { value, gradients } = adapterGradients(model, adapter, batch);
      sums.add(gradients, weight);
      disposeTensors(gradients);
      // eslint-disable-next-line no-await-in-loop -- one batch at a time is in memory
      loss += weight * (await value.item());
      value.dispose();
    }
    const targets = sums.weight;
    if (targets === 0) throw noTargets(step);
    const gradients = sums.mean();
    const { norm, scale } = clipByGlobalNorm(gradients, config.maxGradientNorm);
    optimiser.step(gradients, { gradientScale: scale });
    disposeTensors(gradients);
    // eslint-disable-next-line no-await-in-loop -- the history is in order
    const gradientNorm = await norm.item();
    norm.dispose();
    scale.dispose();
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm))
      throw diverged(step + 1, loss / targets, gradientNorm);
    steps.push({ step: step + 1, loss: loss / targets, gradientNorm, learningRate, targets });
    onProgress?.({
      stage: "train adapter",
      done: step + 1,
      total: config.steps,
      unit: "steps",
      figures: { loss: loss / targets },
    });
    // eslint-disable-next-line no-await-in-loop -- one after the other
    if ((step + 1) % checkpointSteps === 0 || step + 1 === config.steps) await keep();
    // eslint-disable-next-line no-await-in-loop -- signals get their turn
    await yieldToEventLoop();
  }
  return { schemaVersion: 1, ...run, steps };
}

/**
 * Mean loss over a batch's targets, and its gradients to A and B of every module. The tensors are the caller's.
 *
 * @throws ConfigError `BATCH_TARGETS`; what `model.run` throws
 */
export function adapterGradients(
  model: LanguageModel,
  adapter: LoraAdapter,
  { tokens, targets }: AdapterBatch,
): { readonly value: Tensor; readonly gradients: AdapterParameters } {
  const { device } = model;
  const lossOf = (_parameters: AdapterParameters): Tensor => {
    using changed = model.withWeights(effectiveWeights(model, adapter));
    const { logits } = changed.run(tokens);
    // Never null: all positions' logits were asked for.
    if (logits === null) throw noTargets(0);
    const [batch = 0, length = 0, vocabulary = 0] = logits.shape;
    const wanted = Int32Array.from(targets.flatMap((row) => Array.from(row)));
    return crossEntropy(
      logits.reshape([batch * length, vocabulary]),
      device.tensor(wanted, [batch * length]),
      { reduction: "mean" },
    );
  };
  return valueAndGrad(lossOf)(adapter.parameters);
}

function diverged(step: number, loss: number, gradientNorm: number): LatentkitError {
  return new LatentkitError({
    code: "ADAPTER_DIVERGED",
    message: `update ${step} has a loss of ${loss} and a gradient norm of ${gradientNorm}; it was left out`,
    fix: "lower the learning rate, or warm up for longer",
  });
}

function scheduleOf({ steps, warmUpSteps }: AdapterTraining): Schedule {
  const decay = linearSchedule({ updates: Math.max(1, steps - warmUpSteps) });
  return warmUpSteps === 0 ? decay : warmUp(warmUpSteps, decay);
}

/** Positions with a target. Throws `ConfigError` `BATCH_TARGETS` where rows of targets and tokens differ in length. */
function countTargets({ tokens, targets }: AdapterBatch): number {
  let count = 0;
  for (const [row, ids] of tokens.entries()) {
    const wanted = targets[row];
    if (wanted === undefined || wanted.length !== ids.length) {
      throw new ConfigError({
        code: "BATCH_TARGETS",
        message: `sequence ${row} has ${ids.length} tokens and ${wanted?.length ?? "no"} targets`,
        fix: "give one target a token, -100 where there is none",
      });
    }
    for (let at = 0; at < wanted.length; at++) if ((wanted[at] ?? -1) >= 0) count++;
  }
  return count;
}

function noTargets(step: number): ConfigError {
  return new ConfigError({
    code: "BATCH_TARGETS",
    message: `the batches of update ${step + 1} have no target`,
    fix: "give batches with at least one target an update",
  });
}
