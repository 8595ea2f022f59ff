/// <reference types="@webgpu/types" />
import { GPUBufferUsageBits } from "../memory/pool.ts";

/** `GPUMapMode.READ`, which Node has no global for. */
const mapRead = 1;
/** `GPUBufferUsage.QUERY_RESOLVE`, likewise. */
const queryResolve = 512;

/** What a {@link Stopwatch} times. */
export interface StopwatchOptions {
  readonly device: GPUDevice;
  /** Submits what was recorded, and waits until it is. Throws the device's fault. */
  readonly submitted: () => Promise<void>;
  /** Whether the device has `timestamp-query`. */
  readonly timestamps: boolean;
}

/**
 * Times what is issued: by the device's clock where it tells it, from an empty pass before to an empty pass behind, else by the host's
 * until the queue is empty.
 */
export class Stopwatch {
  readonly #options: StopwatchOptions;

  constructor(options: StopwatchOptions) {
    this.#options = options;
  }

  /** Seconds that the device takes for what `issue` issues; whatever was issued before is waited for first. */
  async seconds(issue: () => void): Promise<number> {
    const { device, submitted, timestamps } = this.#options;
    await submitted();
    await device.queue.onSubmittedWorkDone();
    if (!timestamps) {
      const start = performance.now();
      issue();
      await submitted();
      await device.queue.onSubmittedWorkDone();
      return (performance.now() - start) / 1000;
    }
    const queries = device.createQuerySet({ type: "timestamp", count: 2 });
    const resolved = device.createBuffer({
      size: 16,
      usage: queryResolve | GPUBufferUsageBits.copyFrom,
    });
    const staging = device.createBuffer({
      size: 16,
      usage: GPUBufferUsageBits.mapRead | GPUBufferUsageBits.copyTo,
    });
    try {
      const before = device.createCommandEncoder();
      before
        .beginComputePass({ timestampWrites: { querySet: queries, beginningOfPassWriteIndex: 0 } })
        .end();
      device.queue.submit([before.finish()]);
      issue();
      await submitted();
      const behind = device.createCommandEncoder();
      behind
        .beginComputePass({ timestampWrites: { querySet: queries, endOfPassWriteIndex: 1 } })
        .end();
      behind.resolveQuerySet(queries, 0, 2, resolved, 0);
      behind.copyBufferToBuffer(resolved, 0, staging, 0, 16);
      device.queue.submit([behind.finish()]);
      await staging.mapAsync(mapRead);
      const [start = 0n, end = 0n] = new BigUint64Array(staging.getMappedRange());
      return Number(end - start) / 1e9;
    } finally {
      queries.destroy();
      resolved.destroy();
      staging.destroy();
    }
  }
}
