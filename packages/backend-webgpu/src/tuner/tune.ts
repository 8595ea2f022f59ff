import { ConfigError, DeviceError } from "@latentkit/core";
import type { Backend, Device, MatmulPlan } from "@latentkit/tensor";
import type { Features } from "../features.ts";
import { type Plans, shapeClass } from "../kernels/matmul/choose.ts";
import { candidatesOf, type GemmPlan, type GemmShape, nameOfPlan } from "../kernels/matmul/plan.ts";
import { issueMatmulBy } from "../kernels/matmul.ts";
import type { Runtime } from "../runtime.ts";
import type { Stopwatch } from "./stopwatch.ts";
import { noPlans, type TunedPlans, withPlans } from "./store.ts";

/** What a backend on WebGPU has beside a backend's duties. */
export interface WebGpuBackend extends Backend {
  readonly tuning: Tuning;
}

/** What plans are measured with. */
export interface Tuning {
  readonly adapter: string;
  readonly runtime: Runtime;
  readonly features: Features;
  readonly plans: Plans;
  readonly stopwatch: Pick<Stopwatch, "seconds">;
}

/** A product to be tuned: sizes, and 1 entry and no transposition by default. */
export interface TuneShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch?: number | undefined;
  readonly transposeA?: boolean | undefined;
  readonly transposeB?: boolean | undefined;
}

/** Options of {@link tuneMatmul}. */
export interface TuneOptions {
  /** Plans measured before, which the result holds as well. */
  readonly store?: TunedPlans | undefined;
  /** Seconds of the device for each plan, 0.05 by default; slower plans are run once more than to warm up. */
  readonly secondsEach?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((measured: TuneMeasurement) => void) | undefined;
}

/** One plan's time. */
export interface TuneMeasurement {
  /** The class of shapes, such as `nt:b1:m1024:n4096:k512:f32`. */
  readonly shape: string;
  /** Such as `tiled:64x64x16:4x4:1:f32`. */
  readonly plan: string;
  /** The median of runs of one product. */
  readonly seconds: number;
}

/**
 * Measures all plans by which a WebGPU device can compute products of these shapes, on the device's clock where it tells it. From then
 * on the device computes products of their classes by the fastest plan. Results differ between plans by rounding; without tuning, and
 * with the same store, the choice is the same every time.
 *
 * @returns the store with the measured plans, for `openWebGpuDevice({ plans })`
 *
 * Throws {@link DeviceError} `NOT_WEBGPU` for a device of another backend, {@link ConfigError} `VALUE_RANGE` for sizes below 1.
 */
export async function tuneMatmul(
  device: Device,
  shapes: readonly TuneShape[],
  options: TuneOptions = {},
): Promise<TunedPlans> {
  const { tuning } = backendOf(device, "tuneMatmul");
  const measured: Record<string, string> = {};
  for (const wanted of shapes) {
    const plan = planOf(wanted);
    const shape: GemmShape = { ...plan, halves: tuning.runtime.halves };
    const best = await fastest(tuning, plan, shape, options);
    tuning.plans.remember(shape, best);
    measured[shapeClass(shape)] = nameOfPlan(best);
  }
  return withPlans(options.store ?? noPlans, tuning.adapter, measured);
}

/**
 * Whether the device has a measured plan for products of this shape, which it allows.
 *
 * Throws {@link DeviceError} `NOT_WEBGPU`, {@link ConfigError} `VALUE_RANGE`, as {@link tuneMatmul} does.
 */
export function isTuned(device: Device, shape: TuneShape): boolean {
  const { plans, runtime } = backendOf(device, "isTuned").tuning;
  return plans.measuredFor({ ...planOf(shape), halves: runtime.halves }) !== null;
}

function backendOf({ backend }: Device, caller: string): WebGpuBackend {
  if (hasTuning(backend)) return backend;
  throw new DeviceError({
    code: "NOT_WEBGPU",
    message: `${caller} got a device of the backend ${backend.info.name}, expected one of WebGPU`,
    fix: "open it by openWebGpuDevice",
  });
}

function hasTuning(backend: Backend): backend is WebGpuBackend {
  return "tuning" in backend;
}

async function fastest(
  tuning: Tuning,
  plan: MatmulPlan,
  shape: GemmShape,
  { secondsEach = 0.05, signal, onProgress }: TuneOptions,
): Promise<GemmPlan> {
  const { runtime, stopwatch, features } = tuning;
  const { batch, m, n, k } = shape;
  let best: GemmPlan | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of candidatesOf(shape, features)) {
    signal?.throwIfAborted();
    const times = (count: number): Promise<number> =>
      // Scratch is issued with, then given back: the queue runs in order.
      stopwatch.seconds(() =>
        runtime.withScratch(
          [
            ["f32", batch * m * k],
            ["f32", batch * k * n],
            ["f32", batch * m * n],
          ],
          (a, b, out) => {
            for (let turn = 0; turn < count; turn++)
              issueMatmulBy(runtime, candidate, a, b, out, plan);
          },
        ),
      );
    // The first run compiles the program.
    await times(1);
    const once = Math.max(await times(1), 1e-6);
    const count = Math.max(1, Math.min(1000, Math.round(secondsEach / 3 / once)));
    const runs = [await times(count), await times(count), await times(count)].sort((x, y) => x - y);
    const seconds = (runs[1] ?? Number.NaN) / count;
    onProgress?.({ shape: shapeClass(shape), plan: nameOfPlan(candidate), seconds });
    if (!(seconds < least)) continue;
    best = candidate;
    least = seconds;
  }
  return best ?? tuning.plans.planFor(shape);
}

function planOf(shape: TuneShape): MatmulPlan {
  const { m, n, k, batch = 1, transposeA = false, transposeB = false } = shape;
  for (const [name, size] of Object.entries({ m, n, k, batch }))
    if (!Number.isSafeInteger(size) || size < 1)
      throw new ConfigError({
        code: "VALUE_RANGE",
        message: `tuneMatmul got ${name} = ${size}, expected an integer of at least 1`,
        fix: "give the sizes of the products that are to be fast",
      });
  return {
    batch,
    m,
    n,
    k,
    transposeA,
    transposeB,
    rowStrideA: transposeA ? m : k,
    rowStrideB: transposeB ? k : n,
    rowStrideOut: n,
    batchStrideA: m * k,
    batchStrideB: k * n,
    batchStrideOut: m * n,
    alpha: 1,
    beta: 0,
  };
}
