/// <reference types="@webgpu/types" />
import { ConfigError, DeviceError } from "@latentkit/core";
import { Device } from "@latentkit/tensor";
import { createWebGpuBackend } from "./backend.ts";
import { featuresToRequest, type FeatureSwitch } from "./features.ts";
import { findGpu } from "./host.ts";
import type { TunedPlans } from "./tuner/store.ts";

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
  /**
   * `"f32"` (the default) computes matrix products in f32. `"f16"` rounds their factors to f16 on the way in, where the adapter has
   * `shader-f16`, and by matrix units where it has those; sums stay f32. Factors above 65,504 become infinite.
   */
  readonly products?: "f16" | "f32" | undefined;
  /** Plans of matrix products that `tuneMatmul` measured; those of other adapters do no harm. */
  readonly plans?: TunedPlans | undefined;
  /** What the adapter offers and is not to be used; for comparisons. */
  readonly off?: readonly FeatureSwitch[] | undefined;
}

/** What an adapter is, for people and manifests. */
export interface WebGpuDescription {
  /** Such as `"mesa llvmpipe-llvm-15-0-6-256-bits"`. */
  readonly adapter: string;
  /** Such as `"mesa"`, `"nvidia"`; empty where the host hides it. */
  readonly vendor: string;
  /** Such as `"software"`, `"hopper"`; empty where the host hides it. */
  readonly architecture: string;
  /** The driver's own words, with its version where the host gives it; empty in browsers. */
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
  checkOptions(options);
  return (await findWebGpuAdapter(options.power)).open(options);
}

/** What {@link openWebGpuDevice} would run on. Throws as it does, where there is nothing. */
export async function describeWebGpu(
  power?: OpenWebGpuDeviceOptions["power"],
): Promise<WebGpuDescription> {
  return (await findWebGpuAdapter(power)).description;
}

/** An adapter that was found: what it is, and a device on it. */
export interface WebGpuAdapter {
  readonly description: WebGpuDescription;
  /** Opens the device, which the caller disposes; once, as an adapter gives one device. Throws as {@link openWebGpuDevice} does. */
  open(options?: Omit<OpenWebGpuDeviceOptions, "power">): Promise<Device>;
}

/**
 * Asks the host for an adapter, for those who decide by what it is whether to open it.
 *
 * Throws {@link DeviceError}: `WEBGPU_UNAVAILABLE` where there is no WebGPU, `WEBGPU_NO_ADAPTER` where it finds nothing to run on.
 */
export async function findWebGpuAdapter(
  power?: OpenWebGpuDeviceOptions["power"],
): Promise<WebGpuAdapter> {
  const found = await requestAdapter(power);
  const description = describe(found.adapter);
  return {
    description,
    async open(options = {}) {
      checkOptions(options);
      const { limits = "adapter", memoryLimit, off, plans } = options;
      const device = await requestDevice(found.adapter, limits);
      const { adapter } = description;
      const halves = options.products === "f16";
      return new Device(
        createWebGpuBackend({ device, adapter, memoryLimit, host: found, off, plans, halves }),
      );
    },
  };
}

function checkOptions({ memoryLimit }: OpenWebGpuDeviceOptions): void {
  if (memoryLimit === undefined || memoryLimit > 0) return;
  throw new ConfigError({
    code: "VALUE_RANGE",
    message: `openWebGpuDevice got memoryLimit = ${memoryLimit}, expected a number above 0`,
    fix: "give the bytes that the device may hold, or leave it out",
  });
}

function describe(adapter: GPUAdapter): WebGpuDescription {
  const { info, limits } = adapter;
  return {
    adapter: nameOf(adapter),
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description.trim(),
    software: isSoftware(adapter),
    features: [...adapter.features].sort(),
    limits: {
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
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
  const requiredFeatures = featuresToRequest(adapter);
  try {
    return await adapter.requestDevice(
      limits === "default"
        ? { requiredFeatures }
        : {
            requiredFeatures,
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
