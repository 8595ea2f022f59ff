/// <reference types="@webgpu/types" />
import { ConfigError, DeviceError } from "@latentkit/core";
import { Device } from "@latentkit/tensor";
import { createWebGpuBackend } from "./backend.ts";
import { findGpu } from "./host.ts";

/** Options of {@link openWebGpuDevice}. */
export interface OpenWebGpuDeviceOptions {
  /** Which adapter to ask for where there are several; the host's choice by default. */
  readonly power?: "high-performance" | "low-power" | undefined;
  /**
   * `"adapter"` (the default) asks for the largest buffers and the most bindings that the adapter has, `"default"` for no more than
   * every WebGPU device has: 8 storage buffers a stage, bindings of 128 MiB, buffers of 256 MiB.
   */
  readonly limits?: "adapter" | "default" | undefined;
  /** Bytes of tensors and weights that the device may hold; no limit of our own by default. */
  readonly memoryLimit?: number | undefined;
}

/** What an adapter is, for people and manifests. */
export interface WebGpuDescription {
  /** Such as `"mesa llvmpipe-llvm-15-0-6-256-bits"`. */
  readonly adapter: string;
  readonly description: string;
  /** Whether it computes on the CPU, as Mesa's llvmpipe and SwiftShader do. */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: WebGpuLimits;
}

/** The limits that decide how kernels are laid out. */
export interface WebGpuLimits {
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
}

/**
 * A device on WebGPU: `navigator.gpu` in browsers, Dawn through the npm package `webgpu` in Node. The caller disposes it.
 *
 * Throws {@link DeviceError}: `WEBGPU_UNAVAILABLE` where there is no WebGPU, `WEBGPU_NO_ADAPTER` where it finds nothing to run on,
 * `WEBGPU_REFUSED` if the adapter gives no device. Later, from kernels and reads: `DEVICE_OUT_OF_MEMORY`, `DEVICE_LOST`. Throws
 * {@link ConfigError} `VALUE_RANGE` for a limit that is not a positive number.
 */
export async function openWebGpuDevice(options: OpenWebGpuDeviceOptions = {}): Promise<Device> {
  const { limits = "adapter", memoryLimit } = options;
  if (memoryLimit !== undefined && !(memoryLimit > 0))
    throw new ConfigError({
      code: "VALUE_RANGE",
      message: `openWebGpuDevice got memoryLimit = ${memoryLimit}, expected a number above 0`,
      fix: "give the bytes that the device may hold, or leave it out",
    });
  const found = await requestAdapter(options.power);
  const device = await requestDevice(found.adapter, limits);
  const adapter = nameOf(found.adapter);
  return new Device(createWebGpuBackend({ device, adapter, memoryLimit, host: found }));
}

/** What {@link openWebGpuDevice} would run on. Throws as it does, where there is nothing. */
export async function describeWebGpu(
  power?: OpenWebGpuDeviceOptions["power"],
): Promise<WebGpuDescription> {
  const { adapter } = await requestAdapter(power);
  return {
    adapter: nameOf(adapter),
    description: adapter.info.description,
    software: isSoftware(adapter),
    features: [...adapter.features].sort(),
    limits: {
      maxStorageBuffersPerShaderStage: adapter.limits.maxStorageBuffersPerShaderStage,
      maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
      maxBufferSize: adapter.limits.maxBufferSize,
      maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: adapter.limits.maxComputeInvocationsPerWorkgroup,
    },
  };
}

/** An adapter, and the host's WebGPU that it came from. */
export interface FoundAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
}

/** Throws {@link DeviceError} `WEBGPU_NO_ADAPTER`. */
export async function requestAdapter(
  power: "high-performance" | "low-power" | undefined,
): Promise<FoundAdapter> {
  const gpu = await findGpu();
  const adapter = await gpu.requestAdapter(power === undefined ? {} : { powerPreference: power });
  if (adapter !== null) return { gpu, adapter };
  throw new DeviceError({
    code: "WEBGPU_NO_ADAPTER",
    message: "WebGPU is there, but it found no adapter: no GPU and no software Vulkan driver",
    fix: "install a GPU driver with Vulkan, or Mesa's software one (Debian: mesa-vulkan-drivers, on bookworm from backports)",
  });
}

/** A device with the limits that kernels make use of. Throws {@link DeviceError} `WEBGPU_REFUSED`. */
export async function requestDevice(
  adapter: GPUAdapter,
  limits: "adapter" | "default",
): Promise<GPUDevice> {
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } =
    adapter.limits;
  try {
    return await adapter.requestDevice(
      limits === "default"
        ? {}
        : {
            requiredLimits: {
              maxBufferSize,
              maxStorageBufferBindingSize,
              maxStorageBuffersPerShaderStage,
            },
          },
    );
  } catch (cause) {
    throw new DeviceError({
      code: "WEBGPU_REFUSED",
      message: `the adapter ${nameOf(adapter)} gave no device`,
      fix: 'close other programs that use the GPU, or try again with limits: "default"',
      cause,
    });
  }
}

/** The adapter as its driver names it. */
export function nameOf({ info }: GPUAdapter): string {
  return [info.vendor, info.device === "" ? info.architecture : info.device]
    .filter((part) => part !== "")
    .join(" ");
}

/** By the adapter's own word, or by the name of a driver that is known to be software: not every host sets the flag. */
function isSoftware(adapter: GPUAdapter): boolean {
  const name = `${nameOf(adapter)} ${adapter.info.description}`;
  return adapter.info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|basic render/i.test(name);
}
