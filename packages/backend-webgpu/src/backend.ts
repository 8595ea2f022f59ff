/// <reference types="@webgpu/types" />
import { bytesPerElement } from "@latentkit/core";
import type { Slice, Storage } from "@latentkit/tensor";
import { type Features, featuresOf, type FeatureSwitch, without } from "./features.ts";
import { bindingKey, bindOperands, type BindingLimits } from "./issue/operands.ts";
import { Pipelines } from "./issue/pipelines.ts";
import { Recorder } from "./issue/recorder.ts";
import { Transfers } from "./issue/transfers.ts";
import { kernelsOf } from "./kernels/index.ts";
import { Plans } from "./kernels/matmul/choose.ts";
import { Stopwatch } from "./tuner/stopwatch.ts";
import { noPlans, type TunedPlans } from "./tuner/store.ts";
import type { WebGpuBackend } from "./tuner/tune.ts";
import { Profiler, type ProfiledBackend } from "./profile/profiler.ts";
import { Faults } from "./device/faults.ts";
import { BufferPool } from "./memory/pool.ts";
import { ownStorage } from "./memory/storage.ts";
import type { Issue, Parameter, Runtime } from "./runtime.ts";

/** What {@link createWebGpuBackend} is built from. */
export interface WebGpuBackendOptions {
  readonly device: GPUDevice;
  /** For manifests: which adapter it is. */
  readonly adapter: string;
  /** What the device came from, kept as long as the backend: Dawn for Node ends when its instance is collected. */
  readonly host?: unknown;
  readonly memoryLimit?: number | undefined;
  /** Bytes of one binding at most; what the device allows by default. Less for tests of split tables. */
  readonly bindingBytes?: number | undefined;
  /** What the device offers and is not to be used. */
  readonly off?: readonly FeatureSwitch[] | undefined;
  /** Whether factors of matrix products may be rounded to f16, where the device has halves; not by default. */
  readonly halves?: boolean | undefined;
  /** Measured plans of matrix products. */
  readonly plans?: TunedPlans | undefined;
}

/** Version of the kernels' arithmetic, for manifests. */
export const build = "wgsl-1";

/** A backend over a WebGPU device, which it takes over: disposing the backend destroys the device. */
export function createWebGpuBackend(
  options: WebGpuBackendOptions,
): WebGpuBackend & ProfiledBackend & { readonly gpu: GPUDevice } {
  const { device, adapter } = options;
  const features: Features = without(featuresOf(device), options.off ?? []);
  const plans = new Plans(features, (options.plans ?? noPlans).adapters[adapter]);
  // So that `dispose`, which the backend keeps, keeps the host.
  const kept = new Set([options.host]);
  const faults = new Faults(device, () => recorder.close());
  const submitted = async (): Promise<void> => {
    await recorder.submitted();
    faults.check();
  };
  const profiler = new Profiler({
    device,
    timestamps: features.timestamps,
    submitted,
  });
  const recorder = new Recorder(device, profiler);
  const pipelines = new Pipelines({
    device,
    onReady: () => recorder.advance(),
    onRefused: (program, cause) => void faults.refused(program, cause),
  });
  const pool = new BufferPool({
    device,
    memoryLimit: options.memoryLimit ?? Number.POSITIVE_INFINITY,
    destroy: (buffers) => recorder.destroy(buffers),
    onExhausted: (byteLength) => faults.exhausted(byteLength),
  });
  const limits: BindingLimits = {
    alignment: device.limits.minStorageBufferOffsetAlignment,
    bindingBytes: Math.min(
      options.bindingBytes ?? Number.POSITIVE_INFINITY,
      device.limits.maxStorageBufferBindingSize,
    ),
    storageBuffers: device.limits.maxStorageBuffersPerShaderStage,
  };
  const runtime: Runtime = {
    features,
    plans,
    halves: (options.halves ?? false) && features.f16,
    issue(work: Issue): void {
      if (work.groups <= 0) return;
      faults.check();
      const binding = bindOperands(work.operands, limits);
      const named: (readonly [string, Parameter])[] = [
        ["groups", { type: "u32", value: work.groups }],
        ...binding.placed.map(
          ({ name }, index) =>
            [`at_${name}`, { type: "u32", value: binding.starts[index] ?? 0 }] as const,
        ),
        ...Object.entries(work.parameters ?? {}),
      ];
      const lanes = work.lanes ?? 256;
      const program = pipelines.get(
        `${work.name}|${lanes}|${bindingKey(binding)}`,
        binding,
        () => ({
          binding,
          lanes,
          features,
          parameters: named.map(([name, { type }]) => [name, type] as const),
          body: work.body(),
        }),
      );
      const most = device.limits.maxComputeWorkgroupsPerDimension;
      const x = Math.min(work.groups, most);
      recorder.dispatch({
        name: work.name,
        bytes: binding.ranges.reduce((sum, { size = 0 }) => sum + size, 0),
        program,
        bindings: binding.ranges,
        words: wordsOf(named),
        workgroups: [x, Math.ceil(work.groups / x)],
      });
    },
    withScratch(wanted, use): void {
      const storages = wanted.map(([dtype, length]) =>
        pool.acquire(Math.max(4, length * bytesPerElement(dtype))),
      );
      try {
        const slices = wanted.map(([dtype, length], index): Slice => ({
          // As many storages as were wanted.
          storage: storages[index] as Storage,
          offset: 0,
          length,
          dtype,
        }));
        // One slice for each that was wanted, in order.
        use(...(slices as { [K in keyof typeof wanted]: Slice }));
      } finally {
        for (const storage of storages) pool.release(storage);
      }
    },
  };
  const kernels = kernelsOf(runtime);
  const transfers = new Transfers({ device, recorder, runtime, faults });
  const allocate = (byteLength: number): Storage => {
    faults.check();
    return pool.acquire(byteLength);
  };
  return {
    info: { name: "webgpu", matmul: `wgsl (${adapter})`, threads: 1, build },
    kernels,
    allocate,
    allocateWeights: allocate,
    writeWeights(target: Storage, byteOffset: number, bytes: Uint8Array): void {
      transfers.write(
        { storage: target, offset: byteOffset, length: bytes.length, dtype: "u8" },
        bytes,
      );
    },
    free(storage: Storage): void {
      pool.release(ownStorage(storage));
    },
    write: (target: Slice, bytes: Uint8Array): void => transfers.write(target, bytes),
    read: (source: Slice): Promise<Uint8Array<ArrayBuffer>> => transfers.read(source),
    memory: () => pool.use(),
    profiler,
    gpu: device,
    tuning: {
      adapter,
      runtime,
      features,
      plans,
      stopwatch: new Stopwatch({
        device,
        submitted,
        timestamps: features.timestamps,
      }),
    },
    dispose(): void {
      faults.close();
      pool.dispose();
      device.destroy();
      kept.clear();
    },
  };
}

/** Parameters as the words of WGSL's uniform struct: 4 bytes each, in order. */
function wordsOf(named: readonly (readonly [string, Parameter])[]): Uint32Array {
  const words = new Uint32Array(Math.ceil(named.length / 4) * 4);
  const floats = new Float32Array(words.buffer);
  for (const [index, [, { type, value }]] of named.entries()) {
    if (type === "f32") floats[index] = value;
    else words[index] = value;
  }
  return words;
}
