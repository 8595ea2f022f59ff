/// <reference types="@webgpu/types" />
import { LatentkitError } from "@latentkit/core";
import { Device } from "@latentkit/tensor";
import { createWebGpuBackend } from "./backend.ts";
import type { FeatureSwitch } from "./features.ts";
import { nameOf, requestAdapter, requestDevice } from "./open.ts";
import type { TunedPlans } from "./tuner/store.ts";

/** Why tests on a device are left out, or null: with CI=true or REQUIRE_GPU=1 a missing adapter is a failure and not a reason. */
export async function reasonToSkip(): Promise<string | null> {
  try {
    await requestAdapter(undefined);
    return null;
  } catch (error) {
    if (!LatentkitError.isInstance(error)) throw error;
    if (process.env["CI"] === "true" || process.env["REQUIRE_GPU"] === "1") throw error;
    process.stderr.write(`skipped, ${error.code}: ${error.message}\n`);
    return `${error.code}: ${error.message}`;
  }
}

/** A device, and WebGPU's own behind it. */
export interface Opened {
  readonly device: Device;
  readonly gpu: GPUDevice;
}

/** Opens a device with bindings of so many bytes at most, or with the limits that every WebGPU device has. */
export async function openForTest(options: {
  readonly bindingBytes?: number;
  readonly limits?: "adapter" | "default";
  readonly memoryLimit?: number;
  readonly off?: readonly FeatureSwitch[];
  readonly halves?: boolean;
  readonly plans?: TunedPlans;
}): Promise<Opened> {
  const host = await requestAdapter(undefined);
  const gpu = await requestDevice(host.adapter, options.limits ?? "adapter");
  const { bindingBytes, memoryLimit, off, halves, plans } = options;
  const adapter = nameOf(host.adapter);
  return {
    gpu,
    device: new Device(
      createWebGpuBackend({
        device: gpu,
        adapter,
        host,
        bindingBytes,
        memoryLimit,
        off,
        halves,
        plans,
      }),
    ),
  };
}
