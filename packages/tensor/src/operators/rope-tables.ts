import { ConfigError } from "@latentkit/core";
import { requireValue } from "../checks.ts";
import type { Device } from "../device.ts";
import type { Tensor } from "../tensor.ts";

/** Every frequency divided by `factor`: positions interpolated (Chen et al., 2023, arXiv 2306.15595). */
export interface LinearRopeScaling {
  readonly type: "linear";
  readonly factor: number;
}

/** NTK-aware scaling that begins where the sequence is longer than the model was trained for: the base grows with its length. */
export interface DynamicRopeScaling {
  readonly type: "dynamic";
  readonly factor: number;
  /** Positions that the model was trained for. */
  readonly originalPositions: number;
}

/** Llama 3.1: slow frequencies are divided by `factor`, fast ones stay, those between are blended. */
export interface Llama3RopeScaling {
  readonly type: "llama3";
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  /** Positions that the model was trained for. */
  readonly originalPositions: number;
}

/** YaRN (Peng et al., 2023, arXiv 2309.00071): interpolates by parts, and scales cos and sin by an attention factor. */
export interface YarnRopeScaling {
  readonly type: "yarn";
  readonly factor: number;
  /** Positions that the model was trained for. */
  readonly originalPositions: number;
  /** By default `0.1 ln(factor) + 1`, or the quotient of that with `mscale` and `mscaleAllDim` where both are given. */
  readonly attentionFactor?: number | undefined;
  readonly mscale?: number | undefined;
  readonly mscaleAllDim?: number | undefined;
  /** Turns within the original length above which a frequency stays. 32 by default. */
  readonly betaFast?: number | undefined;
  /** Turns within the original length below which a frequency is divided by the whole factor. 1 by default. */
  readonly betaSlow?: number | undefined;
  /** Whether the bounds of the blend are rounded outwards to whole pairs. True by default. */
  readonly truncate?: boolean | undefined;
}

/** LongRoPE (Ding et al., 2024, arXiv 2402.13753), as Phi-3 has it: a divisor for each pair, one set for long sequences. */
export interface LongRopeScaling {
  readonly type: "longrope";
  /** dRotary/2 divisors for sequences of up to `originalPositions`. */
  readonly shortFactor: readonly number[];
  /** dRotary/2 divisors for longer ones. */
  readonly longFactor: readonly number[];
  /** Positions that the model was trained for. */
  readonly originalPositions: number;
  /** By how much the model's context is longer than `originalPositions`; gives the attention factor. */
  readonly factor: number;
  /** By default `sqrt(1 + ln(factor) / ln(originalPositions))`. */
  readonly attentionFactor?: number | undefined;
}

/** How a model's rotary frequencies were stretched for longer contexts; `rope_scaling` of Hugging Face's configs. */
export type RopeScaling =
  | DynamicRopeScaling
  | LinearRopeScaling
  | Llama3RopeScaling
  | LongRopeScaling
  | YarnRopeScaling;

/** What {@link ropeFrequencies} needs. */
export interface RopeFrequencyOptions {
  /** Rotated features of a head; even. */
  readonly dRotary: number;
  /** `rope_theta` of the model's config, for example 10000. */
  readonly base: number;
  readonly scaling?: RopeScaling | undefined;
  /** Tokens of the sequence, for the scalings that depend on it (`dynamic`, `longrope`). Short by default. */
  readonly sequenceLength?: number | undefined;
}

/** What {@link ropeTables} needs. */
export interface RopeTableOptions extends RopeFrequencyOptions {
  /** Number of positions, 0 .. positions - 1. */
  readonly positions: number;
  readonly device: Device;
}

/** Angles a position, and what cos and sin are multiplied by. */
export interface RopeFrequencies {
  /** Radians from one position to the next, for each of the dRotary/2 pairs. */
  readonly frequencies: Float32Array<ArrayBuffer>;
  readonly attentionFactor: number;
}

/**
 * cos and sin of `position * frequency`, times the scaling's attention factor, each f32 [positions, dRotary/2]. Angles are rounded
 * to f32 step by step as Hugging Face does, since its models were trained with those angles. `sequenceLength` is `positions` by
 * default.
 *
 * @throws ConfigError `VALUE_RANGE` for numbers out of their range
 */
export function ropeTables(options: RopeTableOptions): { cos: Tensor; sin: Tensor } {
  const { dRotary, positions, device } = options;
  requireValue(
    Number.isInteger(positions) && positions >= 0,
    "ropeTables",
    "positions",
    positions,
    "a non-negative integer",
  );
  const { frequencies, attentionFactor } = frequenciesOf("ropeTables", {
    ...options,
    sequenceLength: options.sequenceLength ?? positions,
  });
  const half = dRotary / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (const [pair, frequency] of frequencies.entries()) {
    for (let position = 0; position < positions; position++) {
      const angle = Math.fround(position * frequency);
      cos[position * half + pair] = Math.fround(Math.cos(angle)) * attentionFactor;
      sin[position * half + pair] = Math.fround(Math.sin(angle)) * attentionFactor;
    }
  }
  return device.scope(() => ({
    cos: device.tensor(cos, [positions, half]),
    sin: device.tensor(sin, [positions, half]),
  }));
}

/**
 * Frequencies `base^(-2i / dRotary)` after the scaling, rounded to f32 as Hugging Face does.
 *
 * @throws ConfigError `VALUE_RANGE` for numbers out of their range
 */
export function ropeFrequencies(options: RopeFrequencyOptions): RopeFrequencies {
  return frequenciesOf("ropeFrequencies", options);
}

function frequenciesOf(operator: string, options: RopeFrequencyOptions): RopeFrequencies {
  const { dRotary, base, scaling, sequenceLength = 0 } = options;
  requireValue(
    Number.isInteger(dRotary) && dRotary >= 2 && dRotary % 2 === 0,
    operator,
    "dRotary",
    dRotary,
    "an even integer of at least 2",
  );
  requireValue(base > 0 && Number.isFinite(base), operator, "base", base, "a positive number");
  const plain = (theta: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: dRotary / 2 }, (_, pair) => 1 / period(theta, pair, dRotary));
  if (scaling === undefined) return { frequencies: plain(base), attentionFactor: 1 };
  requireScaling(operator, scaling, dRotary);
  switch (scaling.type) {
    case "linear":
      return {
        frequencies: plain(base).map((frequency) => frequency / scaling.factor),
        attentionFactor: 1,
      };
    case "dynamic":
      return { frequencies: plain(dynamicBase(options, scaling)), attentionFactor: 1 };
    case "llama3":
      return {
        frequencies: plain(base).map((frequency) => llama3Frequency(frequency, scaling)),
        attentionFactor: 1,
      };
    case "yarn":
      return {
        frequencies: yarnFrequencies(dRotary, base, scaling),
        attentionFactor: yarnAttentionFactor(scaling),
      };
    case "longrope": {
      const { shortFactor, longFactor, originalPositions, factor } = scaling;
      const divisors = sequenceLength > originalPositions ? longFactor : shortFactor;
      return {
        frequencies: Float32Array.from(
          divisors,
          (divisor, pair) => 1 / Math.fround(Math.fround(divisor) * period(base, pair, dRotary)),
        ),
        attentionFactor:
          scaling.attentionFactor ??
          (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions))),
      };
    }
  }
}

/** `base^(2i / dRotary)`, in f32 steps. */
function period(base: number, pair: number, dRotary: number): number {
  return Math.fround(base ** Math.fround((2 * pair) / dRotary));
}

function dynamicBase(
  { dRotary, base, sequenceLength = 0 }: RopeFrequencyOptions,
  { factor, originalPositions }: DynamicRopeScaling,
): number {
  const length = Math.max(sequenceLength, originalPositions);
  return base * ((factor * length) / originalPositions - (factor - 1)) ** (dRotary / (dRotary - 2));
}

function llama3Frequency(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalPositions } = scaling;
  const wavelength = Math.fround(Math.fround(2 * Math.PI) / frequency);
  if (wavelength > originalPositions / lowFrequencyFactor) return frequency / factor;
  if (wavelength < originalPositions / highFrequencyFactor) return frequency;
  const smooth =
    (originalPositions / wavelength - lowFrequencyFactor) /
    (highFrequencyFactor - lowFrequencyFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

function yarnFrequencies(
  dRotary: number,
  base: number,
  scaling: YarnRopeScaling,
): Float32Array<ArrayBuffer> {
  const { factor, originalPositions, betaFast = 32, betaSlow = 1, truncate = true } = scaling;
  // The pair that turns so many times within the original length.
  const pairOf = (turns: number): number =>
    (dRotary * Math.log(originalPositions / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const [low, high] = [pairOf(betaFast), pairOf(betaSlow)];
  const first = Math.max(truncate ? Math.floor(low) : low, 0);
  const last = Math.min(truncate ? Math.ceil(high) : high, dRotary - 1);
  const width = last === first ? 0.001 : last - first;
  return Float32Array.from({ length: dRotary / 2 }, (_, pair) => {
    const interpolated = Math.min(1, Math.max(0, (pair - first) / width));
    const own = period(base, pair, dRotary);
    return interpolated / (factor * own) + (1 - interpolated) / own;
  });
}

function yarnAttentionFactor(scaling: YarnRopeScaling): number {
  const { factor, attentionFactor, mscale = 0, mscaleAllDim = 0 } = scaling;
  if (attentionFactor !== undefined) return attentionFactor;
  const of = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  return mscale !== 0 && mscaleAllDim !== 0 ? of(mscale) / of(mscaleAllDim) : of(1);
}

function requireScaling(operator: string, scaling: RopeScaling, dRotary: number): void {
  requireValue(
    scaling.factor > 0 && Number.isFinite(scaling.factor),
    operator,
    "scaling.factor",
    scaling.factor,
    "a positive number",
  );
  if (scaling.type !== "linear")
    requireValue(
      Number.isInteger(scaling.originalPositions) && scaling.originalPositions >= 1,
      operator,
      "scaling.originalPositions",
      scaling.originalPositions,
      "a positive integer",
    );
  if (scaling.type === "llama3")
    requireValue(
      scaling.lowFrequencyFactor > 0 && scaling.highFrequencyFactor > scaling.lowFrequencyFactor,
      operator,
      "scaling.highFrequencyFactor",
      scaling.highFrequencyFactor,
      `a number above lowFrequencyFactor (${scaling.lowFrequencyFactor}), both positive`,
    );
  if (scaling.type === "dynamic" && dRotary < 4) {
    throw new ConfigError({
      code: "VALUE_RANGE",
      message: `${operator} got dRotary = ${dRotary} with dynamic scaling, expected at least 4`,
      fix: "leave the scaling out, or rotate more features",
    });
  }
  if (scaling.type !== "longrope") return;
  for (const [name, factors] of [
    ["scaling.shortFactor", scaling.shortFactor],
    ["scaling.longFactor", scaling.longFactor],
  ] as const)
    requireValue(
      factors.length === dRotary / 2,
      operator,
      `${name}.length`,
      factors.length,
      `${dRotary / 2}, one for each pair`,
    );
}
