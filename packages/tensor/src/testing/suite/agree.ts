import { Random, type Shape, sizeOf } from "@latentkit/core";
import fc from "fast-check";
import { expect } from "vitest";
import type { Device, TensorData } from "../../device.ts";
import { SparseRows } from "../../sparse-rows.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";

/** What a part of the suite works with. The device may be used inside tests only. */
export interface Suite {
  readonly device: Device;
  readonly reference: Device;
  /** The reference in f64, for finite differences. */
  readonly wide: Device;
}

/** Named results; integers are compared exactly, floats within the tolerance. */
export type Outputs = Readonly<Record<string, Tensor | SparseRows>>;

/** Exactly equal. */
export const exact: Tolerance = { rtol: 0, atol: 0 };

/** A few roundings of f32. */
export const rounded: Tolerance = { rtol: 1e-6, atol: 1e-7 };

/** Sums of `length` products of standard normals in f32: the error grows as length * 2^-24; four of its standard deviations and some. */
export function sumTolerance(length: number): Tolerance {
  return { rtol: 1e-5, atol: 4 * Math.max(1, length) * 2 ** -24 };
}

/** Makes a test's inputs, the same on every device. */
export class Inputs {
  readonly device: Device;
  readonly random: Random;

  constructor(device: Device, seed: number) {
    this.device = device;
    this.random = new Random(seed);
  }

  /** Standard normals times a scale. */
  normal(shape: Shape, scale = 1): Tensor {
    return this.of(this.random.fillNormal(new Float32Array(sizeOf(shape)), scale), shape);
  }

  uniform(shape: Shape, low: number, high: number): Tensor {
    return this.of(
      Float32Array.from(
        { length: sizeOf(shape) },
        () => low + (high - low) * this.random.uniform(),
      ),
      shape,
    );
  }

  /** i32 from 0 to bound - 1. */
  integers(shape: Shape, bound: number): Tensor {
    return this.of(
      Int32Array.from({ length: sizeOf(shape) }, () => this.random.integer(bound)),
      shape,
    );
  }

  /** u8: 0 with the given chance, else any other byte. */
  mask(shape: Shape, zeros = 0.5): Tensor {
    return this.of(
      Uint8Array.from({ length: sizeOf(shape) }, () =>
        this.random.uniform() < zeros ? 0 : 1 + this.random.integer(255),
      ),
      shape,
    );
  }

  /** The values given, as a view that starts up to three elements into its storage: kernels may not count on alignment. */
  of(values: TensorData, shape: Shape): Tensor {
    const offset = this.random.integer(4);
    const length = offset + values.length + 1;
    const padded =
      values instanceof Int32Array
        ? new Int32Array(length).fill(-7)
        : values instanceof Uint8Array
          ? new Uint8Array(length).fill(7)
          : new Float32Array(length).fill(Number.NaN);
    padded.set(values, offset);
    return this.device
      .tensor(padded, [padded.length])
      .rows(offset, offset + values.length)
      .reshape(shape);
  }

  /** Sparse rows with up to `capacity` random latents each; some values are 0, as of entries kept for their gradient. */
  sparseRows(rows: number, width: number, capacity: number): SparseRows {
    const counts = new Int32Array(rows);
    const indices = new Int32Array(rows * capacity).fill(-1);
    const values = new Float32Array(rows * capacity).fill(Number.NaN);
    for (let row = 0; row < rows; row++) {
      const count = this.random.integer(Math.min(capacity, width) + 1);
      counts[row] = count;
      indices.set(this.random.permutation(width).subarray(0, count).sort(), row * capacity);
      for (let place = 0; place < count; place++)
        values[row * capacity + place] =
          this.random.uniform() < 0.2 ? 0 : Math.abs(this.random.normal());
    }
    return new SparseRows({
      width,
      counts: this.of(counts, [rows]),
      indices: this.of(indices, [rows, capacity]),
      values: this.of(values, [rows, capacity]),
    });
  }
}

/** Runs an operator on the device under test and on the reference, and compares what comes out. */
export async function agree(
  suite: Suite,
  seed: number,
  tolerance: Tolerance,
  run: (inputs: Inputs) => Outputs,
): Promise<void> {
  const actual = await readAll(suite.device, seed, run);
  const expected = await readAll(suite.reference, seed, run);
  expect([...actual.keys()]).toEqual([...expected.keys()]);
  for (const [name, wanted] of expected) {
    const got = actual.get(name);
    expect(got?.shape, `shape of ${name}`).toEqual(wanted.shape);
    expect(got?.dtype, `dtype of ${name}`).toEqual(wanted.dtype);
    const bounds = wanted.dtype === "i32" || wanted.dtype === "u8" ? exact : tolerance;
    expect(got?.values ?? [], name).toBeClose(wanted.values, bounds);
  }
}

interface HostTensor {
  readonly shape: Shape;
  readonly dtype: string;
  readonly values: Float32Array | Int32Array;
}

/** Runs inside a scope and reads the results by name. */
export async function readAll(
  device: Device,
  seed: number,
  run: (inputs: Inputs) => Outputs,
): Promise<Map<string, HostTensor>> {
  const outputs = device.scope(() => run(new Inputs(device, seed)));
  const read = new Map<string, HostTensor>();
  try {
    for (const [name, output] of Object.entries(outputs)) {
      if (output instanceof SparseRows)
        for (const [part, value] of await readRows(output)) read.set(`${name}.${part}`, value);
      else read.set(name, await readTensor(output));
    }
  } finally {
    for (const output of Object.values(outputs)) output.dispose();
  }
  return read;
}

async function readTensor(tensor: Tensor): Promise<HostTensor> {
  const { shape, dtype } = tensor;
  return {
    shape,
    dtype,
    values: dtype === "i32" || dtype === "u8" ? await tensor.integers() : await tensor.floats(),
  };
}

/** Sparse rows with everything beyond the counts set to 0: it is undefined. */
async function readRows(rows: SparseRows): Promise<Map<string, HostTensor>> {
  const counts = await readTensor(rows.counts);
  const parts = new Map([["counts", counts]]);
  for (const [name, tensor] of [
    ["indices", rows.indices],
    ["values", rows.values],
  ] as const) {
    parts.set(name, liveOnly(await readTensor(tensor), counts.values, rows.capacity));
  }
  return parts;
}

/** A host copy of a [rows, capacity] tensor with the entries beyond each row's count set to 0. */
function liveOnly(tensor: HostTensor, counts: ArrayLike<number>, capacity: number): HostTensor {
  return {
    ...tensor,
    values: tensor.values.map((value, index) =>
      index % capacity < (counts[Math.floor(index / capacity)] ?? 0) ? value : 0,
    ),
  };
}

/** Sizes that break kernels: nothing, one, odd, around multiples of SIMD registers and of blocks. */
export const anySize: fc.Arbitrary<number> = fc.constantFrom(
  0,
  1,
  2,
  3,
  4,
  5,
  7,
  8,
  9,
  15,
  16,
  17,
  31,
  33,
  64,
  67,
  130,
);

/** The same without 0. */
export const someSize: fc.Arbitrary<number> = fc.constantFrom(
  1,
  2,
  3,
  4,
  5,
  7,
  8,
  9,
  15,
  16,
  17,
  31,
  33,
  64,
  67,
  130,
);

/** Few, for outer axes. */
export const fewSize: fc.Arbitrary<number> = fc.constantFrom(0, 1, 2, 3, 5);

export const anySeed: fc.Arbitrary<number> = fc.nat(2 ** 31 - 1);

/** Runs a property with the suite's fixed seed, so that a red run can be run again. */
export function holds<T>(
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => Promise<void>,
  runs = 25,
): Promise<void> {
  return fc.assert(fc.asyncProperty(arbitrary, property), { numRuns: runs, seed: 20240719 });
}
