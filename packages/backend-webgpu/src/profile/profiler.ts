/// <reference types="@webgpu/types" />
import { DeviceError } from "@latentkit/core";
import type { Backend } from "@latentkit/tensor";
import { GPUBufferUsageBits } from "../memory/pool.ts";

/** `GPUMapMode.READ` and `GPUBufferUsage.QUERY_RESOLVE`, which Node has no globals for. */
const mapRead = 1;
const queryResolve = 512;
/** Dispatches of one batch that are timed at most; a batch has no more. */
const capacity = 256;
const bytesPerTime = 8;

/** What a {@link Profiler} is made of. */
export interface ProfilerOptions {
  readonly device: GPUDevice;
  /** Whether the device has `timestamp-query`. */
  readonly timestamps: boolean;
  /** Submits what was recorded, and waits until it is. Throws the device's fault. */
  readonly submitted: () => Promise<void>;
}

/** A backend whose dispatches can be timed. */
export interface ProfiledBackend extends Backend {
  readonly profiler: Profiler;
}

/** One dispatch as the device's clock saw it. */
export interface TimedDispatch {
  readonly name: string;
  readonly seconds: number;
  readonly bytes: number;
}

/** Names and bytes of the dispatches of a batch, in order: their times are two queries each. */
type Labels = readonly Omit<TimedDispatch, "seconds">[];

/**
 * Times each dispatch between `start` and `stop` on the device's clock, in a pass of its own. Where it is not running it costs nothing.
 */
export class Profiler {
  readonly #options: ProfilerOptions;
  #starting = false;
  #queries: GPUQuerySet | null = null;
  #labels: { readonly name: string; readonly bytes: number }[] = [];
  #pending: Promise<readonly TimedDispatch[]>[] = [];

  constructor(options: ProfilerOptions) {
    this.#options = options;
  }

  /**
   * From now on dispatches are timed. Throws {@link DeviceError}: `WEBGPU_NO_TIMESTAMPS` where the device has no clock to ask,
   * `PROFILE_RUNNING` if it is running already, the device's fault.
   */
  async start(): Promise<void> {
    const { device, timestamps, submitted } = this.#options;
    if (!timestamps)
      throw new DeviceError({
        code: "WEBGPU_NO_TIMESTAMPS",
        message:
          "a profile was asked of a WebGPU device that does not tell its time: it was opened without timestamp-query",
        fix: "profile on another adapter; `latentkit doctor` prints what an adapter offers",
      });
    if (this.#starting || this.#queries !== null)
      throw new DeviceError({
        code: "PROFILE_RUNNING",
        message: "a profile was asked of a WebGPU device that is being profiled",
        fix: "await one profile before the next, or open a device for each",
      });
    this.#starting = true;
    try {
      await submitted();
    } finally {
      this.#starting = false;
    }
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * capacity });
  }

  /** The queries around the next dispatch, which it needs a pass for; undefined where nothing is timed. */
  time(name: string, bytes: number): GPUComputePassTimestampWrites | undefined {
    if (this.#queries === null) return undefined;
    const index = 2 * this.#labels.push({ name, bytes });
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: index - 2,
      endOfPassWriteIndex: index - 1,
    };
  }

  /** Records the copy of a batch's times to the host; call what it gives when the batch is submitted. */
  resolve(encoder: GPUCommandEncoder): (() => void) | undefined {
    const labels = this.#labels;
    if (this.#queries === null || labels.length === 0) return undefined;
    this.#labels = [];
    const { device } = this.#options;
    const size = 2 * labels.length * bytesPerTime;
    const resolved = device.createBuffer({
      size,
      usage: queryResolve | GPUBufferUsageBits.copyFrom,
    });
    const staging = device.createBuffer({
      size,
      usage: GPUBufferUsageBits.mapRead | GPUBufferUsageBits.copyTo,
    });
    encoder.resolveQuerySet(this.#queries, 0, 2 * labels.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    return () => {
      const times = readTimes(staging, labels).finally(() => {
        resolved.destroy();
        staging.destroy();
      });
      // Awaited by `stop`; until then a lost device is no unhandled rejection.
      times.catch(() => undefined);
      this.#pending.push(times);
    };
  }

  /** Ends it, and waits for the times of all dispatches since `start`. Throws {@link DeviceError} `DEVICE_LOST`, and other faults. */
  async stop(): Promise<readonly TimedDispatch[]> {
    let pending: Promise<readonly TimedDispatch[]>[];
    try {
      await this.#options.submitted();
    } finally {
      this.#queries?.destroy();
      this.#queries = null;
      this.#labels = [];
      pending = this.#pending;
      this.#pending = [];
    }
    return (await Promise.all(pending)).flat();
  }
}

async function readTimes(staging: GPUBuffer, labels: Labels): Promise<readonly TimedDispatch[]> {
  try {
    await staging.mapAsync(mapRead);
  } catch (cause) {
    throw new DeviceError({
      code: "DEVICE_LOST",
      message: `the WebGPU device was lost while the times of ${labels.length} dispatches were read`,
      fix: "open a new device and resume from the last checkpoint",
      cause,
    });
  }
  const ticks = new BigUint64Array(staging.getMappedRange());
  return labels.map(({ name, bytes }, index) => {
    const elapsed = Number((ticks[2 * index + 1] ?? 0n) - (ticks[2 * index] ?? 0n));
    // Clocks of some drivers run backwards across a change of frequency.
    return { name, bytes, seconds: Math.max(0, elapsed) / 1e9 };
  });
}
