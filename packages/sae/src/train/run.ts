import { ConfigError, type LatentkitError } from "@latentkit/core";
import type { Device } from "@latentkit/tensor";
import { trainingBlockRowsFor } from "../blocks.ts";
import type { SaeConfigInput, SaeMetadata } from "../config.ts";
import { evaluateRows } from "../evaluate/rows.ts";
import { Sae } from "../sae.ts";
import { downloadWeights } from "../weights.ts";
import {
  checkState,
  type CheckpointStore,
  type TrainingCheckpoint,
  type TrainingState,
  type TrainingWindow,
} from "./checkpoint.ts";
import type { TrainConfig } from "./config.ts";
import { type DivergenceState, followed, hasExploded, noDivergence } from "./divergence.ts";
import { foldForm } from "./fold.ts";
import type { TrainingBackend, TrainingHistory, TrainingPoint } from "./history.ts";
import { layoutOf, splitColumns, type StreamLayout } from "./layout.ts";
import type { InputStatistics } from "./normalise.ts";
import { normalisedBatch, normalisedRows } from "./normalised-batch.ts";
import { sparsityAt } from "./schedule.ts";
import { notFinite, type SharedStream, type StreamBatch } from "./shared-stream.ts";
import { trainingArchitectureOf } from "./registry.ts";
import { clearGradients, type StepMemory } from "./step.ts";
import { initialParameters, Trainables } from "./trainables.ts";
import type { InferenceForm, TrainingArchitecture } from "./training-architecture.ts";

/** What a run is started from. */
export interface RunOptions {
  readonly device: Device;
  readonly config: TrainConfig;
  readonly stream: SharedStream;
  readonly checkpoints?: CheckpointStore | undefined;
  readonly allowOtherBackend?: boolean | undefined;
  readonly architectures?: readonly TrainingArchitecture[] | undefined;
}

/** Above this share of active latents dense products beat sparse rows, measured on the CPU backend. */
const denseAbove = 0.03;
/** Latents that fire more often than this are dense. */
const denseDensity = 0.1;
const emptyWindow: TrainingWindow = { rows: 0, steps: 0, loss: 0, squaredError: 0, active: 0 };

/** A training run between its steps. {@link TrainingRun.start} begins or resumes one. */
export class TrainingRun implements Disposable {
  readonly #options: RunOptions;
  readonly #model: Trainables;
  readonly #architecture: TrainingArchitecture;
  readonly #statistics: InputStatistics;
  readonly #layout: StreamLayout;
  readonly #backend: TrainingBackend;
  /** Activations since each latent last fired. */
  readonly #silent: Int32Array;
  #step = 0;
  #memory: StepMemory = {};
  #recentL0: number;
  #window: TrainingWindow = emptyWindow;
  #points: readonly TrainingPoint[] = [];
  #divergence: DivergenceState = noDivergence;
  #position: unknown;

  private constructor(
    options: RunOptions,
    model: Trainables,
    statistics: InputStatistics,
    resumed: { readonly state: TrainingState; readonly silent: Int32Array } | null,
  ) {
    this.#options = options;
    this.#model = model;
    this.#architecture = trainingArchitectureOf(options.config, options.architectures);
    this.#statistics = statistics;
    this.#layout = layoutOf(options.config, options.stream.dIn);
    this.#backend = backendOf(options.device);
    this.#silent = resumed?.silent ?? new Int32Array(options.config.dSae);
    // Nothing is known before the first step, and JumpReLU starts with a large share of its latents above theta0.
    this.#recentL0 = resumed?.state.recentL0 ?? options.config.dSae;
    this.#position = resumed?.state.batches ?? options.stream.start;
    if (resumed === null) return;
    this.#step = resumed.state.step;
    this.#memory = resumed.state.memory ?? {};
    this.#window = resumed.state.window;
    this.#points = resumed.state.points;
    this.#divergence = resumed.state.divergence ?? noDivergence;
  }

  /** Begins a run, or resumes the one that the checkpoints hold. */
  static async start(options: RunOptions): Promise<TrainingRun> {
    const { device, config, stream, checkpoints } = options;
    const { dIn } = stream;
    const architecture = trainingArchitectureOf(config, options.architectures);
    const layout = layoutOf(config, dIn);
    const saved = (await checkpoints?.load()) ?? null;
    if (saved === null) {
      const statistics = await stream.statistics(config.normalisationTokens, layout);
      const firstBatch = await firstTargets(stream, config, layout, statistics);
      const rowNorm = architecture.decoderRows?.(config).initialNorm;
      const model = Trainables.make(
        device,
        config,
        () => initialParameters(device, config, { layout, firstBatch, rowNorm }),
        architecture,
        layout.centred,
      );
      return new TrainingRun(options, model, statistics, null);
    }
    const where = checkpoints?.name ?? "checkpoint";
    const state = checkState(
      saved.state,
      {
        config,
        dIn,
        backend: backendOf(device),
        allowOtherBackend: options.allowOtherBackend ?? false,
      },
      where,
    );
    // Throws where the state is one of other activations.
    stream.batches.restore(state.batches);
    // The bias is restored right after, so no batch is needed to start it from.
    const model = Trainables.make(
      device,
      config,
      () =>
        initialParameters(
          device,
          { ...config, decoderBias: "zero" },
          { layout, firstBatch: new Float32Array(0) },
        ),
      architecture,
      layout.centred,
    );
    try {
      model.fromCheckpoint(saved.tensors);
      return new TrainingRun(options, model, state.statistics, {
        state,
        silent: silentOf(saved.tensors, config.dSae),
      });
    } catch (error) {
      model.dispose();
      throw error;
    }
  }

  /** Steps done. */
  get step(): number {
    return this.#step;
  }

  get points(): readonly TrainingPoint[] {
    return this.#points;
  }

  /** Where the stream stands before this run's next batch. */
  get position(): unknown {
    return this.#position;
  }

  /**
   * One optimiser step.
   *
   * @param batch what the stream gives at {@link position}
   * @throws ConfigError `TRAIN_DIVERGED` where the loss is not finite or the error has exploded
   * @throws FormatError `ACTIVATIONS_NOT_FINITE` where that is the activations' fault
   */
  async advance({ rows, after }: StreamBatch): Promise<void> {
    const { device, config, stream } = this.#options;
    const { parameters, gradients, extras } = this.#model;
    const dense = this.#recentL0 > denseAbove * config.dSae;
    const { x: ownX, target: ownTarget } = normalisedBatch(
      device,
      rows,
      this.#layout,
      this.#statistics,
    );
    using x = ownX;
    using target = ownTarget;
    clearGradients(gradients, extras);
    const result = await this.#architecture.gradients({
      device,
      config,
      parameters,
      gradients,
      extras,
      memory: this.#memory,
      step: this.#step,
      x,
      target,
      centred: this.#layout.centred,
      variance: this.#statistics.variance,
      sparsity: sparsityAt(config, this.#step),
      dead: this.#deadMask(),
      blockRows: config.blockRows ?? trainingBlockRowsFor(config.dSae, dense),
      dense,
    });
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.squaredError)) {
      const number = this.#step + 1;
      throw (
        notFinite(rows, stream.dIn, number) ??
        this.#diverged(`the loss of step ${number} is ${result.loss}`)
      );
    }
    const fvu = result.squaredError / (config.batchSize * this.#statistics.variance);
    this.#divergence = followed(this.#divergence, fvu);
    if (hasExploded(this.#divergence)) {
      throw this.#diverged(
        `the FVU of step ${this.#step + 1} is ${fvu.toPrecision(3)}, after one of ${this.#divergence.lowest?.toPrecision(3)} earlier`,
      );
    }
    this.#model.update(this.#step);
    this.#memory = result.memory ?? this.#memory;
    this.#account(result.firing, result.loss, result.squaredError);
    this.#step += 1;
    this.#position = after;
  }

  /** Adds a point: the training figures since the last one, and those of the held-out activations. */
  async evaluate(heldOut: Float32Array): Promise<void> {
    const { config, stream } = this.#options;
    // A crosscoder's sites count alike, as they do in training, whatever their units.
    const unit = this.#layout.groups.length > 1 && !this.#layout.transcoder;
    using sae = await this.#export(unit ? { scale: 1, variance: 1 } : this.#statistics);
    const rowsOf = unit ? normalisedRows(heldOut, this.#layout, this.#statistics) : heldOut;
    const { input, target } = splitColumns(rowsOf, this.#layout);
    const figures = await evaluateRows(sae, input, target);
    const { rows, steps, loss, squaredError, active } = this.#window;
    const presentations = this.#step * config.batchSize;
    let denseCount = 0;
    for (const count of figures.firing) denseCount += count > denseDensity * figures.rows ? 1 : 0;
    const point: TrainingPoint = {
      step: this.#step,
      presentations,
      uniqueTokens: Math.min(presentations, stream.batches.uniqueTokens),
      loss: loss / steps,
      l0: active / rows,
      fvu: squaredError / (rows * this.#statistics.variance),
      heldOutL0: figures.l0,
      heldOutFvu: figures.fvu,
      denseCount,
      deadCount: this.#deadMask()?.reduce((sum, value) => sum + value, 0) ?? 0,
    };
    this.#points = [...this.#points, point];
    this.#window = emptyWindow;
  }

  /** For a progress bar: the newest point, and the loss and L0 since then. */
  figures(): Record<string, number> {
    const { loss, steps, active, rows } = this.#window;
    const last = this.#points.at(-1);
    const running = steps === 0 ? {} : { loss: loss / steps, l0: active / rows };
    const held =
      last === undefined
        ? {}
        : {
            heldOutL0: last.heldOutL0,
            heldOutFvu: last.heldOutFvu,
            dense: last.denseCount,
            dead: last.deadCount,
          };
    const { config, stream } = this.#options;
    const uniqueTokens = Math.min(this.#step * config.batchSize, stream.batches.uniqueTokens);
    return {
      ...(last === undefined ? {} : { loss: last.loss, l0: last.l0, fvu: last.fvu }),
      ...running,
      ...held,
      uniqueTokens,
    };
  }

  history(): TrainingHistory {
    const { config, stream } = this.#options;
    const presentations = this.#step * config.batchSize;
    const { uniqueTokens } = stream.batches;
    return {
      schemaVersion: 1,
      recipe: config.recipe,
      config,
      // Of text that has not ended yet, each activation is another one.
      uniqueTokens: Number.isFinite(uniqueTokens) ? uniqueTokens : presentations,
      presentations,
      inputScale: this.#statistics.scale,
      points: this.#points,
      backend: this.#backend,
    };
  }

  /** The SAE as it stands, for raw activations. The caller disposes it. */
  async exportSae(metadata: SaeMetadata = {}): Promise<Sae> {
    return this.#export(this.#statistics, metadata);
  }

  async #export(statistics: InputStatistics, metadata: SaeMetadata = {}): Promise<Sae> {
    const { device, config } = this.#options;
    const trained = {
      weights: await downloadWeights(this.#model.parameters),
      extras: await this.#model.downloadExtras(),
      memory: this.#memory,
    };
    const form: InferenceForm = this.#architecture.inferenceForm?.(trained, config) ?? {
      kind: { architecture: "jumprelu" },
      weights: trained.weights,
    };
    const { kind, weights } = foldForm(form, this.#layout, statistics);
    const saeConfig: SaeConfigInput = {
      dSae: config.dSae,
      // A reader may want to know what became this JumpReLU.
      metadata: { ...trainedAs(config, form), ...metadata },
      ...kind,
    };
    return Sae.fromWeights(device, saeConfig, weights);
  }

  async checkpoint(): Promise<TrainingCheckpoint> {
    const { config, stream } = this.#options;
    const silent = { name: "silent", shape: [config.dSae], data: this.#silent.slice() };
    return {
      state: {
        schemaVersion: 1,
        config,
        dIn: stream.dIn,
        step: this.#step,
        statistics: this.#statistics,
        recentL0: this.#recentL0,
        window: this.#window,
        points: this.#points,
        batches: this.#position,
        backend: this.#backend,
        divergence: this.#divergence,
        ...(Object.keys(this.#memory).length === 0 ? {} : { memory: this.#memory }),
      },
      tensors: [...(await this.#model.toCheckpoint()), silent],
    };
  }

  dispose(): void {
    this.#model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** 1 for each dead latent; null where there is none. */
  #deadMask(): Uint8Array | null {
    const { deadAfterTokens } = this.#options.config;
    if (!this.#silent.some((tokens) => tokens >= deadAfterTokens)) return null;
    return Uint8Array.from(this.#silent, (tokens) => (tokens >= deadAfterTokens ? 1 : 0));
  }

  #account(firing: ArrayLike<number>, loss: number, squaredError: number): void {
    const { batchSize } = this.#options.config;
    let active = 0;
    for (let latent = 0; latent < this.#silent.length; latent++) {
      const count = firing[latent] ?? 0;
      active += count;
      // Saturates below 2^31, where an i32 of the checkpoint ends.
      this.#silent[latent] =
        count > 0 ? 0 : Math.min(2 ** 31 - 1, (this.#silent[latent] ?? 0) + batchSize);
    }
    this.#recentL0 = active / batchSize;
    const { rows, steps, ...sums } = this.#window;
    this.#window = {
      rows: rows + batchSize,
      steps: steps + 1,
      loss: sums.loss + loss,
      squaredError: sums.squaredError + squaredError,
      active: sums.active + active,
    };
  }

  #diverged(message: string): LatentkitError {
    return new ConfigError({
      code: "TRAIN_DIVERGED",
      message,
      fix: `lower the learning rate (${this.#options.config.learningRate}), or warm it up for longer`,
    });
  }
}

/** The targets of the stream's first batch, scaled. Empty where the start does not depend on data. */
async function firstTargets(
  stream: SharedStream,
  config: TrainConfig,
  layout: StreamLayout,
  statistics: InputStatistics,
): Promise<Float32Array> {
  if (config.decoderBias === "zero") return new Float32Array(0);
  return splitColumns(normalisedRows(await stream.first(), layout, statistics), layout).target;
}

/** Where training and inference have different names, that of training. */
function trainedAs(config: TrainConfig, { kind }: InferenceForm): SaeMetadata {
  const name = config.architecture === "custom" ? config.name : config.architecture;
  return {
    ...(name === kind.architecture ? {} : { convertedFrom: name }),
    ...("sites" in config ? { crosscoderSites: config.sites } : {}),
  };
}

function backendOf({ info }: Device): TrainingBackend {
  return { name: info.name, matmul: info.matmul, threads: info.threads, build: info.build };
}

function silentOf(tensors: TrainingCheckpoint["tensors"], dSae: number): Int32Array {
  const data = tensors.find((tensor) => tensor.name === "silent")?.data;
  if (data instanceof Int32Array && data.length === dSae) return data.slice();
  throw new ConfigError({
    code: "CHECKPOINT_TENSOR",
    message: `the checkpoint's tensor "silent" ${data === undefined ? "is missing" : `has ${data.length} elements, not ${dSae}`}`,
    fix: "start in another folder, or delete this one",
  });
}
