import {
  ConfigError,
  type LongCallOptions,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { CheckpointStore } from "./checkpoint.ts";
import { parseTrainingConfig, type TrainingConfig, type TrainingConfigInput } from "./config.ts";
import type { ContextStream, TrainingContext } from "./contexts.ts";
import { countTargets } from "./loss.ts";
import type { MetricsPoint } from "./metrics.ts";
import { TrainingRun } from "./run.ts";

/** Figures of a model during training, by name. */
export type Evaluate = (
  model: LanguageModel,
  tokens: number,
) => Promise<Readonly<Record<string, number>>>;

/** What {@link trainLanguageModel} needs. */
export interface TrainLanguageModelOptions extends LongCallOptions {
  /** Its weights, f32, are where training starts, and are changed in place. The caller's. */
  readonly model: LanguageModel;
  readonly contexts: ContextStream;
  readonly config: TrainingConfigInput | TrainingConfig;
  /** Contexts that training never sees, for the validation loss; none by default. */
  readonly validation?: readonly TrainingContext[] | undefined;
  /** Called every `evaluateEvery` tokens and at the end; it must leave the model as it is. */
  readonly evaluate?: Evaluate | undefined;
  /** Where to keep checkpoints, and to resume from; none by default. */
  readonly checkpoints?: CheckpointStore | undefined;
  /** Called for each line of the metrics. */
  readonly onMetrics?: ((point: MetricsPoint) => void) | undefined;
  /** Go on with a checkpoint of another backend, although the numbers will round otherwise. */
  readonly allowOtherBackend?: boolean | undefined;
}

/** What {@link trainLanguageModel} gives; the model has the final weights. */
export interface TrainLanguageModelResult {
  readonly steps: number;
  readonly tokens: number;
  /** The metrics from the first step to the last. */
  readonly points: readonly MetricsPoint[];
  /** Validation loss of the last weights and of their average; null where there are no contexts or no average. */
  readonly validation: number | null;
  readonly averageValidation: number | null;
  /** Which of them the model has now: the average, unless its validation loss is higher. */
  readonly chosen: "last" | "average";
}

/**
 * Trains a language model on next-token prediction with AdamW or Muon. With checkpoints, a run that was aborted or killed goes on where
 * the newest one stands and ends with the same bytes as an uninterrupted one on the same backend. A run may also be given more
 * `tokens` than before: it then goes on from the end of its stable phase.
 *
 * @throws ConfigError `TRAINING_CONFIG`, `CONTEXT_SIZE`, `WEIGHTS_STORED`, `VALIDATION_EMPTY`; MismatchError `CHECKPOINT_*` where
 *   the checkpoint is of another run; LatentkitError `TRAINING_DIVERGED` when loss or gradients are no longer finite; AbortedError
 *   after the signal, with a checkpoint of the last complete step; what the contexts and `evaluate` throw
 *
 * @example
 * const contexts = tokenContexts({ tokenizer, documents, contextSize: 512 });
 * await trainLanguageModel({ model, contexts, config: { tokens: 1e7, batch: 8, learningRate: 1e-3 }, checkpoints });
 */
export async function trainLanguageModel(
  options: TrainLanguageModelOptions,
): Promise<TrainLanguageModelResult> {
  const { model, contexts, checkpoints, evaluate, signal, onProgress } = options;
  const config = parseTrainingConfig(options.config);
  const validation = options.validation ?? [];
  checkContexts(model, contexts, validation);
  using run = await TrainingRun.start({
    model,
    contexts,
    config,
    checkpoints,
    allowOtherBackend: options.allowOtherBackend ?? false,
  });
  const { plan } = run;
  const stableEnd = Math.min(plan.decayStart, plan.averageStart - 1);
  const saved = { tokens: run.tokens, time: performance.now() };
  const save = async (): Promise<void> => {
    await checkpoints?.save(await run.checkpoint(), "newest");
    [saved.tokens, saved.time] = [run.tokens, performance.now()];
  };
  const report = async (extra: Partial<MetricsPoint> = {}): Promise<void> => {
    const point = await run.log(extra);
    options.onMetrics?.(point);
  };
  /** Whether a multiple of `every` tokens was passed in the last step. */
  const due = (every: number): boolean =>
    Math.floor(run.tokens / every) > Math.floor((run.tokens - plan.tokensPerStep) / every);

  while (run.step < plan.steps) {
    if (signal?.aborted === true) {
      await save();
      throwIfAborted(
        signal,
        checkpoints === undefined
          ? "there were no checkpoints"
          : `the checkpoint of step ${run.step} is in ${checkpoints.name}`,
      );
    }
    await run.advance();
    const ended = run.step === plan.steps;
    const extra = {
      ...(validation.length > 0 && (ended || due(config.validateEvery))
        ? { validation: await run.validate(validation) }
        : {}),
      ...(validation.length > 0 && ended && run.averaged > 0
        ? { averageValidation: await run.validateAverage(validation) }
        : {}),
      ...(evaluate !== undefined && (ended || due(config.evaluateEvery))
        ? { evaluation: await evaluate(model, run.tokens) }
        : {}),
    };
    if (run.logDue || Object.keys(extra).length > 0) await report(extra);
    if (run.step === stableEnd && !ended) await checkpoints?.save(await run.checkpoint(), "stable");
    if (
      run.step < plan.averageStart &&
      config.waypointTokens !== null &&
      due(config.waypointTokens)
    ) {
      const waypoint = await run.waypoint();
      await checkpoints?.save(waypoint, "waypoint");
    }
    const waited = (performance.now() - saved.time) / 1000 >= config.checkpointSeconds;
    const { checkpointTokens } = config;
    const moved = checkpointTokens !== null && run.tokens - saved.tokens >= checkpointTokens;
    if (ended || waited || moved) await save();
    const figures: Record<string, number> = { loss: run.lastLoss };
    const { validation: held } =
      run.points.findLast((point) => point.validation !== undefined) ?? {};
    if (held !== undefined) figures["validation"] = held;
    onProgress?.({
      stage: "train",
      done: run.tokens,
      total: plan.steps * plan.tokensPerStep,
      unit: "tokens",
      figures,
    });
    await yieldToEventLoop();
  }
  const end = run.points.at(-1);
  const [last, average] = [end?.validation ?? null, end?.averageValidation ?? null];
  const chosen =
    run.averaged > 0 && (last === null || average === null || average <= last) ? "average" : "last";
  if (chosen === "average") run.adoptAverage();
  return {
    steps: run.step,
    tokens: run.tokens,
    points: run.points,
    validation: last,
    averageValidation: average,
    chosen,
  };
}

function checkContexts(
  model: LanguageModel,
  contexts: ContextStream,
  validation: readonly TrainingContext[],
): void {
  if (contexts.contextSize > model.config.contextSize) {
    throw new ConfigError({
      code: "CONTEXT_SIZE",
      message: `contexts of ${contexts.contextSize} tokens do not fit into the model's context of ${model.config.contextSize}`,
      fix: "cut shorter contexts",
    });
  }
  if (validation.length > 0 && countTargets(validation) === 0) {
    throw new ConfigError({
      code: "VALIDATION_EMPTY",
      message: `the ${validation.length} validation contexts have no target`,
      fix: "give contexts with tokens to predict, or none",
    });
  }
}
