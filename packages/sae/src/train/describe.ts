import type { TrainConfig } from "./config.ts";
import { learningRateAt, sparsityAt } from "./schedule.ts";

/** A setting of a training run in words. */
export interface TrainingStatement {
  readonly name: string;
  readonly value: string;
}

/** What a training run is set to, in words: schedules and warm-ups in steps and activations, and when a latent counts as dead. */
export function describeTraining(config: TrainConfig): TrainingStatement[] {
  const { batchSize, steps, adam, learningRateWarmup, learningRateDecay } = config;
  const tokens = (count: number): string =>
    `${plain(count)} steps (${plain(count * batchSize)} activations)`;
  const rate = [
    String(config.learningRate),
    learningRateWarmup === 0
      ? "without warm-up"
      : `after a cosine warm-up from a tenth of it over ${tokens(learningRateWarmup)}`,
    learningRateDecay === 0
      ? "then constant"
      : `linear to 0 over the last ${plain(100 * learningRateDecay)}%, ${tokens(Math.ceil(learningRateDecay * steps))}`,
  ];
  const own = Object.entries(config)
    .filter(([name]) => !stated.has(name))
    .map(([name, value]) => ({ name, value: value === null ? "none" : JSON.stringify(value) }));
  return [
    { name: "architecture", value: nameOf(config) },
    { name: "recipe", value: config.recipe },
    { name: "latents", value: plain(config.dSae) },
    { name: "length", value: `${tokens(steps)}, batches of ${plain(batchSize)}` },
    { name: "learning rate", value: rate.join(", ") },
    {
      name: "Adam",
      value: `beta1 ${adam.beta1}, beta2 ${adam.beta2}, epsilon ${adam.epsilon}`,
    },
    ...sparsityStatement(config, tokens),
    {
      name: "a latent is dead",
      value: `once it has been silent for ${plain(config.deadAfterTokens)} training activations`,
    },
    {
      name: "normalisation",
      value: `one scale, from ${plain(config.normalisationTokens)} activations before the first step, folded into the weights at the end`,
    },
    { name: "decoder bias starts at", value: config.decoderBias.replace("-", " ") },
    ...own,
    { name: "seed", value: String(config.seed) },
  ];
}

/** Fields that {@link describeTraining} has said already, or that change no result. */
const stated: ReadonlySet<string> = new Set([
  "adam",
  "architecture",
  "batchSize",
  "blockRows",
  "checkpointEvery",
  "dSae",
  "deadAfterTokens",
  "decoderBias",
  "evaluateEvery",
  "learningRate",
  "learningRateDecay",
  "learningRateWarmup",
  "name",
  "normalisationTokens",
  "recipe",
  "schemaVersion",
  "seed",
  "sparsity",
  "sparsityWarmup",
  "steps",
]);

function sparsityStatement(
  config: TrainConfig,
  tokens: (count: number) => string,
): TrainingStatement[] {
  if (!("sparsity" in config)) return [];
  const { sparsity, sparsityWarmup } = config;
  const warmup =
    sparsityWarmup === 0 ? "without warm-up" : `linear from 0 over ${tokens(sparsityWarmup)}`;
  return [{ name: "lambda", value: `${sparsity}, ${warmup}` }];
}

function nameOf(config: TrainConfig): string {
  return config.architecture === "custom" ? config.name : config.architecture;
}

function plain(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 12 });
}

/** Planned values of one step. */
export interface SchedulePoint {
  /** Activations presented before it. */
  readonly presentations: number;
  readonly learningRate: number;
  /** lambda; null for kinds without one. */
  readonly sparsity: number | null;
}

/** Learning rate and lambda over a run, at up to `samples` steps, the first and the last among them. */
export function trainingSchedule(config: TrainConfig, samples = 120): SchedulePoint[] {
  const last = config.steps - 1;
  const count = Math.min(config.steps, Math.max(2, samples));
  return Array.from({ length: count }, (_, index) => {
    const step = count === 1 ? 0 : Math.round((index * last) / (count - 1));
    return {
      presentations: step * config.batchSize,
      learningRate: learningRateAt(config, step),
      sparsity: "sparsity" in config ? sparsityAt(config, step) : null,
    };
  });
}
