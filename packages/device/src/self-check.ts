import { RandomKey } from "@latentkit/core";
import {
  attention,
  createReferenceBackend,
  Device,
  encodeTopK,
  gelu,
  matmul,
  randomUniform,
  rmsNorm,
  softmax,
  sparseDecode,
  type Tensor,
} from "@latentkit/tensor";

/** One operator's result beside the reference kernels'. */
export interface CheckedOperator {
  readonly operator: string;
  /** The largest difference, as a part of the largest value of the reference. */
  readonly deviation: number;
  readonly tolerance: number;
  readonly agrees: boolean;
}

/** What {@link selfCheck} found. */
export interface SelfCheck {
  readonly agrees: boolean;
  readonly operators: readonly CheckedOperator[];
  /** Multiplications and additions of f32 matrix products in a second, in 10^9, by the host's clock. */
  readonly gflops: number;
  /** Rows and columns of the factors that were timed. */
  readonly size: number;
  readonly seconds: number;
}

/** Options of {@link selfCheck}. */
export interface SelfCheckOptions {
  /** How long matrix products are timed, 0.5 by default; the first use of each kernel compiles it, which comes on top. */
  readonly seconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Case {
  readonly operator: string;
  readonly tolerance: number;
  readonly compute: (device: Device) => Tensor;
}

/** Rows and columns of inputs: odd, and more than one vector or tile. */
const [rows, columns] = [33, 130] as const;

const input = (device: Device, seed: number, shape: readonly number[]): Tensor =>
  randomUniform(device, shape, new RandomKey(seed), { low: -2, high: 2 });

/** A kernel of each kind that models and SAEs spend their time in. Tolerances are those of the operators' tests. */
const cases: readonly Case[] = [
  {
    operator: "random numbers",
    tolerance: 0,
    compute: (device) => randomUniform(device, [1000], new RandomKey(1)),
  },
  {
    operator: "matrix product",
    tolerance: 1e-5,
    compute: (device) =>
      matmul(input(device, 2, [rows, columns]), input(device, 3, [columns, rows])),
  },
  {
    operator: "softmax",
    tolerance: 1e-5,
    compute: (device) => softmax(input(device, 4, [rows, columns])),
  },
  {
    operator: "RMS norm",
    tolerance: 1e-5,
    compute: (device) => rmsNorm(input(device, 5, [rows, columns]), null, 1e-6),
  },
  {
    operator: "GELU",
    tolerance: 1e-5,
    compute: (device) => gelu(input(device, 6, [rows, columns])),
  },
  {
    operator: "attention",
    tolerance: 1e-5,
    compute(device) {
      const [q, k, v] = [7, 8, 9].map((seed) => input(device, seed, [1, 17, 2, 32]));
      // As many as there are seeds.
      return attention(q as Tensor, k as Tensor, v as Tensor, { scale: 32 ** -0.5 });
    },
  },
  {
    operator: "top-k SAE",
    tolerance: 1e-5,
    compute: (device) =>
      sparseDecode(
        encodeTopK(input(device, 10, [rows, columns]), 8),
        input(device, 11, [columns, 24]),
        null,
      ),
  },
];

/**
 * Computes a few operators on a device and, slowly and plainly, on the reference kernels, compares them, and times matrix products:
 * about two seconds on a GPU. Throws what kernels throw, `AbortedError` by the signal.
 */
export async function selfCheck(
  device: Device,
  { seconds = 0.5, signal }: SelfCheckOptions = {},
): Promise<SelfCheck> {
  const start = performance.now();
  using reference = new Device(createReferenceBackend());
  const operators: CheckedOperator[] = [];
  for (const { operator, tolerance, compute } of cases) {
    signal?.throwIfAborted();
    const [ours, theirs] = [await valuesOf(device, compute), await valuesOf(reference, compute)];
    const deviation = deviationOf(ours, theirs);
    operators.push({ operator, deviation, tolerance, agrees: deviation <= tolerance });
  }
  const speed = await productSpeed(device, seconds, signal);
  return {
    agrees: operators.every(({ agrees }) => agrees),
    operators,
    ...speed,
    seconds: (performance.now() - start) / 1000,
  };
}

async function valuesOf(device: Device, compute: Case["compute"]): Promise<Float32Array> {
  using result = device.scope(() => compute(device));
  return result.floats();
}

/** max |ours - theirs| / max |theirs|; infinite for NaN and for other lengths. */
export function deviationOf(ours: Float32Array, theirs: Float32Array): number {
  if (ours.length !== theirs.length) return Number.POSITIVE_INFINITY;
  let [difference, size] = [0, 0];
  for (const [index, value] of theirs.entries()) {
    const apart = Math.abs((ours[index] ?? Number.NaN) - value);
    if (Number.isNaN(apart)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, apart);
    size = Math.max(size, Math.abs(value));
  }
  return difference === 0 ? 0 : difference / size;
}

/** Products of growing size until they fill `seconds`: small devices never see large ones. */
async function productSpeed(
  device: Device,
  seconds: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly gflops: number; readonly size: number }> {
  const end = performance.now() + seconds * 1000;
  for (let size = 128; ; size *= 2) {
    using x = device.full([size, size], 1 / size);
    const time = async (turns: number): Promise<number> => {
      const start = performance.now();
      for (let turn = 1; turn < turns; turn++) matmul(x, x).dispose();
      using last = matmul(x, x);
      // Reading a row waits for all of them.
      using row = last.rows(0, 1);
      await row.floats();
      return (performance.now() - start) / 1000;
    };
    // The first compiles, or wakes threads.
    await time(1);
    signal?.throwIfAborted();
    const turns = 4;
    const taken = await time(turns);
    if (performance.now() >= end || size >= 4096)
      return { gflops: (2 * size ** 3 * turns) / taken / 1e9, size };
  }
}
