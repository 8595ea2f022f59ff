import { LatentkitError, MismatchError, sameShape } from "@latentkit/core";
import { Sha256 } from "@latentkit/loaders";
import type { LanguageModel } from "@latentkit/models";
import {
  copyInto,
  type Device,
  type Optimiser,
  type Tensor,
  WeightAverage,
} from "@latentkit/tensor";
import {
  type CheckpointStore,
  type CheckpointTensor,
  checkState,
  endingError,
  type FoundCheckpoint,
  type MetricsWindow,
  type ResumeExpectation,
  type TrainingBackend,
  type TrainingCheckpoint,
  type TrainingState,
} from "./checkpoint.ts";
import type { TrainingConfig } from "./config.ts";
import type { ContextStream, TrainingContext } from "./contexts.ts";
import { fromEightBits, toEightBits } from "./eight-bits.ts";
import { meanLoss } from "./loss.ts";
import type { MetricsPoint } from "./metrics.ts";
import { optimiserOf } from "./optimiser.ts";
import { planOf, rateFactor, type TrainingPlan } from "./schedule.ts";
import { trainStep, type Weights } from "./step.ts";

/** What a run is started from. */
export interface RunOptions {
  readonly model: LanguageModel;
  readonly contexts: ContextStream;
  readonly config: TrainingConfig;
  readonly checkpoints: CheckpointStore | undefined;
  readonly allowOtherBackend: boolean;
}

const emptyWindow: MetricsWindow = { steps: 0, loss: 0, norm: 0 };

/** A training run between two steps. It changes the model's weights in place and owns all else that it makes. */
export class TrainingRun implements Disposable {
  readonly plan: TrainingPlan;
  readonly #options: RunOptions;
  readonly #weights: Weights;
  readonly #optimiser: Optimiser<Weights>;
  #average: WeightAverage<Weights> | null = null;
  #step = 0;
  #window: MetricsWindow = emptyWindow;
  /** Steps of this sitting since the last line, and how long they took. */
  #timed = { steps: 0, seconds: 0 };
  #points: MetricsPoint[] = [];
  #lastLoss = Number.NaN;

  private constructor(options: RunOptions) {
    const { model, config, contexts } = options;
    const plan = planOf(config, contexts.contextSize);
    this.#options = options;
    this.plan = plan;
    this.#weights = model.trainableParameters();
    this.#optimiser = optimiserOf(this.#weights, config, (update) =>
      rateFactor(plan, config, update),
    );
  }

  /** Begins a run with the weights that the model has, or resumes the one that the checkpoints hold. */
  static async start(options: RunOptions): Promise<TrainingRun> {
    const { checkpoints } = options;
    const resumed = checkpoints === undefined ? null : await findCheckpoint(options, checkpoints);
    const run = new TrainingRun(options);
    try {
      if (resumed !== null) run.#restore(resumed.state, resumed.tensors, checkpoints?.name ?? "");
      await checkpoints?.resetMetrics?.(run.points);
      return run;
    } catch (error) {
      run.dispose();
      throw error;
    }
  }

  /** Steps done. */
  get step(): number {
    return this.#step;
  }

  /** Tokens seen. */
  get tokens(): number {
    return this.#step * this.plan.tokensPerStep;
  }

  get points(): readonly MetricsPoint[] {
    return this.#points;
  }

  /** Training loss of the last step; NaN before the first. */
  get lastLoss(): number {
    return this.#lastLoss;
  }

  /** Weights in the average. */
  get averaged(): number {
    return this.#average?.count ?? 0;
  }

  /** One optimiser step. Throws LatentkitError `TRAINING_DIVERGED`. */
  async advance(): Promise<void> {
    const { model, contexts, config } = this.#options;
    const started = performance.now();
    const batch: TrainingContext[] = [];
    for (let row = 0; row < config.batch; row++) batch.push(await contexts.next());
    const result = trainStep(model, this.#weights, this.#optimiser, batch, config);
    using loss = result.loss;
    using norm = result.norm;
    const [lossValue, normValue] = [await loss.item(), await norm.item()];
    if (!Number.isFinite(lossValue) || !Number.isFinite(normValue))
      throw this.#diverged(lossValue, normValue);
    this.#step += 1;
    this.#lastLoss = lossValue;
    this.#addToAverage();
    const { steps, ...sums } = this.#window;
    this.#window = { steps: steps + 1, loss: sums.loss + lossValue, norm: sums.norm + normValue };
    const seconds = this.#timed.seconds + (performance.now() - started) / 1000;
    this.#timed = { steps: this.#timed.steps + 1, seconds };
  }

  /** Whether a line of the metrics is due. */
  get logDue(): boolean {
    return this.#step % this.#options.config.logEvery === 0 || this.#step === this.plan.steps;
  }

  /** Adds a line: the figures since the last one, and others. */
  async log(extra: Partial<MetricsPoint> = {}): Promise<MetricsPoint> {
    const { config, checkpoints } = this.#options;
    const { steps, loss, norm } = this.#window;
    const point: MetricsPoint = {
      step: this.#step,
      tokens: this.tokens,
      loss: steps === 0 ? null : loss / steps,
      norm: steps === 0 ? null : norm / steps,
      learningRate:
        config.learningRate * rateFactor(this.plan, config, Math.max(0, this.#step - 1)),
      tokensPerSecond: this.#speed(),
      ...extra,
    };
    this.#points.push(point);
    this.#window = emptyWindow;
    this.#timed = { steps: 0, seconds: 0 };
    await checkpoints?.appendMetrics?.(point);
    return point;
  }

  /** Mean loss of contexts with the weights as they are. */
  validate(contexts: readonly TrainingContext[]): Promise<number> {
    return meanLoss(this.#options.model, contexts, this.#options.config.microBatch);
  }

  /** Mean loss of contexts with the averaged weights. */
  async validateAverage(contexts: readonly TrainingContext[]): Promise<number> {
    const { model, config } = this.#options;
    if (this.#average === null) return Number.NaN;
    using view = model.withWeights(new Map(Object.entries(this.#average.weights)));
    return await meanLoss(view, contexts, config.microBatch);
  }

  /** Puts the averaged weights into the model. Only after the last checkpoint: the run cannot go on from them. */
  adoptAverage(): void {
    if (this.#average !== null) this.#overwrite(this.#weights, this.#average.weights);
  }

  /**
   * Reduces the run to what a waypoint holds, from which it goes on: matrices rounded to 8 bits, and an optimiser without memory. The
   * count of its updates stays, so that AdamW's first steps are smaller, not larger, than later ones.
   */
  async waypoint(): Promise<TrainingCheckpoint> {
    const { device } = this.#options.model;
    for (const tensor of Object.values(this.#weights)) {
      if (tensor.shape.length < 2) continue;
      const rounded = fromEightBits(toEightBits(await tensor.floats(), tensor.shape), tensor.shape);
      using source = device.tensor(rounded, tensor.shape);
      copyInto(source, tensor, { axis: 0, start: 0 });
    }
    for (const slot of Object.values(this.#optimiser.state().tensors)) {
      using nothing = device.zeros(slot.shape);
      copyInto(nothing, slot, { axis: 0, start: 0 });
    }
    return this.#checkpointOf(await download("weights", this.#weights));
  }

  async checkpoint(): Promise<TrainingCheckpoint> {
    return this.#checkpointOf([
      ...(await download("weights", this.#weights)),
      ...(await download("optimiser", this.#optimiser.state().tensors)),
      ...(this.#average === null ? [] : await download("average", this.#average.weights)),
    ]);
  }

  #checkpointOf(tensors: readonly CheckpointTensor[]): TrainingCheckpoint {
    const { config, contexts, model } = this.#options;
    return {
      state: {
        schemaVersion: 1,
        config,
        step: this.#step,
        tokens: this.tokens,
        model: model.config,
        stream: contexts.identity,
        contexts: contexts.state(),
        backend: backendOf(model.device),
        optimiser: this.#optimiser.state().json,
        averaged: this.averaged,
        tensorsHash: hashTensors(tensors),
        window: this.#window,
        points: [...this.#points],
      },
      tensors,
    };
  }

  dispose(): void {
    this.#optimiser.dispose();
    this.#average?.dispose();
    this.#average = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #speed(): number | null {
    const { steps, seconds } = this.#timed;
    return seconds === 0 ? null : Math.round((steps * this.plan.tokensPerStep) / seconds);
  }

  #addToAverage(): void {
    const { averageStart, steps } = this.plan;
    const since = this.#step - averageStart;
    if (since < 0) return;
    if (since % this.#options.config.averageEvery !== 0 && this.#step !== steps) return;
    if (this.#average === null) this.#average = new WeightAverage(this.#weights);
    else this.#average.add(this.#weights);
  }

  #restore(state: TrainingState, tensors: readonly CheckpointTensor[], where: string): void {
    const { contexts } = this.#options;
    if (hashTensors(tensors) !== state.tensorsHash) {
      throw new MismatchError({
        code: "CHECKPOINT_DAMAGED",
        message: "the checkpoint's tensors are not those that its state was written with",
        fix: "restore the folder from a copy, or start in another one",
        where,
      });
    }
    const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    const expected = this.#optimiser.state().tensors;
    requireTensors(byName, "weights", this.#weights, where);
    const waypoint = tensors.every(({ name }) => name.startsWith("weights/"));
    if (!waypoint) requireTensors(byName, "optimiser", expected, where);
    if (state.averaged > 0) requireTensors(byName, "average", this.#weights, where);
    this.#upload("weights", this.#weights, byName);
    this.#upload("optimiser", expected, byName);
    this.#optimiser.restore({ json: state.optimiser, tensors: expected });
    if (state.averaged > 0) {
      this.#average = new WeightAverage(this.#weights, { count: state.averaged });
      this.#upload("average", this.#average.weights, byName);
    }
    contexts.restore(state.contexts);
    this.#step = state.step;
    this.#window = state.window;
    this.#points = [...state.points];
  }

  #upload(
    prefix: string,
    targets: Readonly<Record<string, Tensor>>,
    byName: ReadonlyMap<string, CheckpointTensor>,
  ): void {
    const { device } = this.#options.model;
    for (const [name, target] of Object.entries(targets)) {
      const found = byName.get(`${prefix}/${name}`);
      if (found === undefined) continue; // has been checked
      using source = device.tensor(found.data, found.shape);
      copyInto(source, target, { axis: 0, start: 0 });
    }
  }

  #overwrite(targets: Weights, sources: Weights): void {
    for (const [name, target] of Object.entries(targets)) {
      const source = sources[name];
      if (source !== undefined) copyInto(source, target, { axis: 0, start: 0 });
    }
  }

  #diverged(loss: number, norm: number): LatentkitError {
    const { checkpoints, config } = this.#options;
    return new LatentkitError({
      code: "TRAINING_DIVERGED",
      message: `step ${this.#step + 1} has a loss of ${loss} and gradients of norm ${norm}${checkpoints === undefined ? "" : `; the last checkpoint is in ${checkpoints.name}`}`,
      fix: `lower the learning rate (${config.learningRate}), or warm up for longer, and start again`,
    });
  }
}

/** The newest checkpoint, else the last waypoint, or the one from the end of the stable phase where only that fits; null for none. */
async function findCheckpoint(
  options: RunOptions,
  checkpoints: CheckpointStore,
): Promise<{ state: TrainingState; tensors: FoundCheckpoint["tensors"] } | null> {
  const { config, contexts, model, allowOtherBackend } = options;
  const expected: ResumeExpectation = {
    config,
    contextSize: contexts.contextSize,
    model: model.config,
    stream: contexts.identity,
    backend: backendOf(model.device),
    allowOtherBackend,
  };
  const newest = (await checkpoints.load("newest")) ?? (await checkpoints.load("waypoint"));
  if (newest === null) return null;
  const state = checkState(newest.state, expected, checkpoints.name);
  if (state !== null) return { state, tensors: newest.tensors };
  const stable = await checkpoints.load("stable");
  const earlier = stable === null ? null : checkState(stable.state, expected, checkpoints.name);
  if (stable !== null && earlier !== null) return { state: earlier, tensors: stable.tensors };
  throw endingError(newest.state, expected, checkpoints.name);
}

async function download(
  prefix: string,
  tensors: Readonly<Record<string, Tensor>>,
): Promise<CheckpointTensor[]> {
  const found: CheckpointTensor[] = [];
  for (const [name, tensor] of Object.entries(tensors))
    found.push({ name: `${prefix}/${name}`, shape: tensor.shape, data: await tensor.floats() });
  return found;
}

function requireTensors(
  found: ReadonlyMap<string, CheckpointTensor>,
  prefix: string,
  wanted: Readonly<Record<string, Tensor>>,
  where: string,
): void {
  for (const [name, { shape }] of Object.entries(wanted)) {
    const tensor = found.get(`${prefix}/${name}`);
    if (tensor !== undefined && sameShape(tensor.shape, shape)) continue;
    throw new MismatchError({
      code: "CHECKPOINT_TENSOR",
      message: `the checkpoint's tensor "${prefix}/${name}" ${tensor === undefined ? "is missing" : `is [${tensor.shape.join(", ")}], not [${shape.join(", ")}]`}`,
      fix: "start in another folder, or delete this one",
      where,
    });
  }
}

/** Independent of the order in which the tensors come. */
function hashTensors(tensors: readonly CheckpointTensor[]): string {
  const hash = new Sha256();
  const ordered = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, shape, data } of ordered) {
    hash.update(`${JSON.stringify([name, shape])}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.hex();
}

function backendOf({ info }: Device): TrainingBackend {
  return { name: info.name, matmul: info.matmul, threads: info.threads, build: info.build };
}
