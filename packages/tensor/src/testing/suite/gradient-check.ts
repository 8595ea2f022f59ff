import { expect } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Device } from "../../device.ts";
import { f32, type Floats } from "../../reference/storage.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
import { Inputs, type Suite } from "./agree.ts";

/** A function of tensors whose gradients are checked. Everything is made from `Inputs`, so that each device gets the same. */
export interface GradientCase {
  /** What gradients are taken to; f32. */
  readonly wrt: readonly Tensor[];
  /** The function, of the tensors in `wrt` and whatever else the case made; its output is f32 of any shape. */
  readonly forward: () => Tensor;
}

/** Elements of each tensor that are perturbed; a sample where it has more. */
const perturbed = 24;
/** Of central differences in f64: the error is about step^2 times the third derivative. */
const step = 1e-4;

/**
 * Checks the gradients that the tape gives, on the device under test and on the reference, against central differences in f64.
 * The scalar that is differentiated is the output times a random tensor, summed.
 */
export async function gradientsAgree(
  suite: Suite,
  seed: number,
  tolerance: Tolerance,
  make: (inputs: Inputs) => GradientCase,
): Promise<void> {
  const numeric = numericGradients(suite.wide, seed, make);
  for (const device of [suite.device, suite.reference]) {
    const analytic = await tapeGradients(device, seed, make);
    for (const [index, { at, slopes }] of numeric.entries()) {
      const gradient = analytic[index] ?? new Float32Array();
      const picked = Float64Array.from(at, (place) => gradient[place] ?? Number.NaN);
      expect(picked, `gradient ${index} on ${device.info.name}`).toBeClose(slopes, tolerance);
    }
  }
}

/** Weights of the output's elements in the scalar, the same for every device. */
function cotangent(seed: number, length: number): Float32Array<ArrayBuffer> {
  // Simple fractions: exact in f32, and none of them 0.
  return Float32Array.from({ length }, (_, index) => (((index * 7 + (seed % 11)) % 16) - 7.5) / 4);
}

async function tapeGradients(
  device: Device,
  seed: number,
  make: (inputs: Inputs) => GradientCase,
): Promise<Float32Array[]> {
  const gradients = device.scope(() => {
    const { wrt, forward } = make(new Inputs(device, seed));
    using tape = new Tape(device);
    for (const tensor of wrt) tape.watch(tensor);
    const output = tape.run(forward);
    const weights = device.tensor(cotangent(seed, output.size), output.shape);
    return tape.gradients(output, wrt, weights);
  });
  try {
    return await Promise.all(gradients.map((gradient) => gradient.floats()));
  } finally {
    for (const gradient of gradients) gradient.dispose();
  }
}

interface NumericGradient {
  /** Elements that were perturbed. */
  readonly at: readonly number[];
  readonly slopes: Float64Array;
}

function numericGradients(
  wide: Device,
  seed: number,
  make: (inputs: Inputs) => GradientCase,
): NumericGradient[] {
  let results: NumericGradient[] = [];
  wide.scope(() => {
    const { wrt, forward } = make(new Inputs(wide, seed));
    const scalar = (): number => {
      let sum = 0;
      wide.scope(() => {
        const output = forward();
        const weights = cotangent(seed, output.size);
        if (output.size > 0)
          for (const [index, value] of f32(output.slice).entries())
            sum += value * (weights[index] ?? Number.NaN);
      });
      return sum;
    };
    results = wrt.map((tensor) => {
      if (tensor.size === 0) return { at: [], slopes: new Float64Array() };
      const values = f32(tensor.slice);
      const stride = Math.max(1, Math.ceil(tensor.size / perturbed));
      const at = Array.from(
        { length: Math.ceil(tensor.size / stride) },
        (_, index) => index * stride,
      );
      return { at, slopes: Float64Array.from(at, (place) => slope(values, place, scalar)) };
    });
  });
  return results;
}

function slope(values: Floats, place: number, scalar: () => number): number {
  const value = values[place] ?? Number.NaN;
  values[place] = value + step;
  const above = scalar();
  values[place] = value - step;
  const below = scalar();
  values[place] = value;
  return (above - below) / (2 * step);
}
