import {
  checkShape,
  ConfigError,
  type RandomKey,
  type RandomState,
  type Shape,
  sizeOf,
} from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import { asNonEmptyRows, floats, requireValue } from "../checks.ts";
import type { Device } from "../device.ts";
import type { Tensor } from "../tensor.ts";

// Each operator draws from the beginning of its key: the same key gives the same numbers again. See `RandomKey`.

/** 32 random bits an element, i32: the words that `key.random().bits()` draws, the same on every device. */
export function randomBits(device: Device, shape: Shape, key: RandomKey): Tensor {
  const state = drawing(key, sizeOf(shape));
  const out = device.empty(shape, "i32");
  if (out.size > 0) device.backend.kernels.randomBits(state, out.slice);
  return out;
}

/** Where uniform numbers lie. */
export interface RandomUniformOptions {
  /** 0 by default. */
  readonly low?: number | undefined;
  /** 1 by default. */
  readonly high?: number | undefined;
}

/**
 * Uniform numbers, f32: `low + (high - low) u` with u from [0, 1), a multiple of 2^-24, as `key.random().uniform()` draws it.
 * Rounding may make `high` itself of the largest. Each step is rounded to f32: the same numbers on every device.
 */
export function randomUniform(
  device: Device,
  shape: Shape,
  key: RandomKey,
  { low = 0, high = 1 }: RandomUniformOptions = {},
): Tensor {
  requireFinite("randomUniform", "low", low);
  requireFinite("randomUniform", "high", high);
  requireFinite("randomUniform", "high - low", Math.fround(high - low));
  const state = drawing(key, sizeOf(shape));
  const out = device.empty(shape);
  if (out.size > 0) device.backend.kernels.randomUniform(state, low, high, out.slice);
  return out;
}

/** Which normal distribution. */
export interface RandomNormalOptions {
  /** 0 by default. */
  readonly mean?: number | undefined;
  /** Standard deviation, 1 by default. */
  readonly deviation?: number | undefined;
}

/**
 * Normal numbers, f32, by Box and Muller's method from two words each, as `key.random().normal()` draws them; devices differ by
 * the rounding of their logarithms and cosines.
 */
export function randomNormal(
  device: Device,
  shape: Shape,
  key: RandomKey,
  { mean = 0, deviation = 1 }: RandomNormalOptions = {},
): Tensor {
  requireFinite("randomNormal", "mean", mean);
  requireFinite("randomNormal", "deviation", deviation);
  const state = drawing(key, 2 * sizeOf(shape));
  const out = device.empty(shape);
  if (out.size > 0) device.backend.kernels.randomNormal(state, mean, deviation, out.slice);
  return out;
}

/**
 * A uniformly random order of 0 .. size - 1, i32 [size]: the order of `size` pairs of words, so that it can be sorted out on any
 * device, and is the same on all.
 */
export function randomPermutation(device: Device, size: number, key: RandomKey): Tensor {
  checkShape([size], "randomPermutation");
  requireValue(size < 2 ** 31, "randomPermutation", "size", size, "below 2^31");
  const state = drawing(key, 2 * size);
  const out = device.empty([size], "i32");
  if (size > 0) device.backend.kernels.randomPermutation(state, out.slice);
  return out;
}

/**
 * One draw for each row from softmax(logits), logits f32 [..., classes]: the first class at which the running sum of
 * probabilities exceeds a uniform number of 53 bits. i32, of the shape without the last axis. A row with NaN or +infinity, or
 * of only -infinity, gives -1. For a temperature divide the logits by it. It has no gradient.
 */
export function categorical(logits: Tensor, key: RandomKey): Tensor {
  const input = floats("categorical", logits, "logits");
  const { rows, columns } = asNonEmptyRows("categorical", logits, "logits");
  const state = drawing(key, 2 * rows);
  const out = logits.device.empty(logits.shape.slice(0, -1), "i32");
  if (rows > 0)
    logits.device.backend.kernels.categoricalRows(state, input, rows, columns, out.slice);
  return out;
}

/** What {@link dropout} draws with. */
export interface DropoutOptions {
  /** The part that is dropped, from 0 (nothing) to 1 (everything). */
  readonly rate: number;
  readonly key: RandomKey;
}

/**
 * Dropout (Srivastava et al., 2014): `out[i] = x[i] / (1 - rate)` where u(i) >= rate, else 0, with u the numbers that
 * {@link randomUniform} draws with this key. The same elements on every device.
 *
 * The gradient drops the same elements: they are drawn again, and no mask is stored. At rate 0 the result is a view of `x`.
 */
export function dropout(x: Tensor, { rate, key }: DropoutOptions): Tensor {
  const input = floats("dropout", x);
  requireValue(rate >= 0 && rate <= 1, "dropout", "rate", rate, "from 0 to 1");
  if (rate === 0) return x.reshape(x.shape);
  const state = drawing(key, x.size);
  const out = x.device.empty(x.shape);
  if (x.size > 0) x.device.backend.kernels.dropout(state, input, rate, out.slice);
  return differentiable(out, {
    operator: "dropout",
    inputs: [x],
    rule: (gradient) => [dropout(gradient, { rate, key })],
  });
}

/**
 * 1 with the probability that the tensor has there, else 0: `out[i] = 1` where u(i) < probabilities[i], with u the numbers that
 * {@link randomUniform} draws with this key. f32; NaN gives 0. It has no gradient.
 */
export function bernoulli(probabilities: Tensor, key: RandomKey): Tensor {
  const input = floats("bernoulli", probabilities, "probabilities");
  const state = drawing(key, probabilities.size);
  const out = probabilities.device.empty(probabilities.shape);
  if (out.size > 0) probabilities.device.backend.kernels.bernoulli(state, input, out.slice);
  return out;
}

/** The state from which `words` words are drawn. Throws `ConfigError` where a position would lose its last digits. */
function drawing(key: RandomKey, words: number): RandomState {
  const state = key.state();
  // A shape that is none is found when the result is made.
  if (!(state.position + words > Number.MAX_SAFE_INTEGER)) return state;
  throw new ConfigError({
    code: "VALUE_RANGE",
    message: `${words} words were asked of a random key at position ${state.position}, expected positions below 2^53`,
    fix: "use a new key: key.fold(i) or key.split(n)",
  });
}

function requireFinite(operator: string, name: string, value: number): void {
  requireValue(Number.isFinite(value), operator, name, value, "a finite number");
}
