/// <reference types="@webgpu/types" />
import { DeviceError, LatentkitError } from "@latentkit/core";
import { Device } from "@latentkit/tensor";
import { createWebGpuBackend } from "./backend.ts";
import type { FeatureSwitch } from "./features.ts";
import { nameOf, requestAdapter, requestDevice } from "./open.ts";
import type { TunedPlans } from "./tuner/store.ts";

/**
 * Why tests on a device are left out, or null: with CI=true or REQUIRE_GPU=1 a missing adapter, or one without a feature that the
 * tests are of, is a failure and not a reason.
 */
export async function reasonToSkip(feature?: GPUFeatureName): Promise<string | null> {
  try {
    const { adapter } = await requestAdapter(undefined);
    if (feature !== undefined && !adapter.features.has(feature)) {
      throw new DeviceError({
        code: "WEBGPU_UNAVAILABLE",
        message: `the adapter has no ${feature}`,
        fix: "test on an adapter that has it, such as Mesa's llvmpipe",
      });
    }
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
