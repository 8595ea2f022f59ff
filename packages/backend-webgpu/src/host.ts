/// <reference types="@webgpu/types" />
import { DeviceError } from "@latentkit/core";

/**
 * Finds WebGPU: `navigator.gpu` where the host has it, else Dawn by the npm package `webgpu`. Throws {@link DeviceError}
 * `WEBGPU_UNAVAILABLE` where there is neither.
 */
export async function findGpu(): Promise<GPU> {
  // Of hosts with and without it, as the specification has it.
  const { navigator } = globalThis as { readonly navigator?: { readonly gpu?: GPU } };
  if (navigator?.gpu !== undefined) return navigator.gpu;
  try {
    // The name is a variable so that bundlers for browsers do not look for it.
    const name = "webgpu";
    // What npm's `webgpu` exports, as its types say.
    const { create } = (await import(/* @vite-ignore */ name)) as {
      readonly create: (options: string[]) => GPU;
    };
    // Browsers round the device's clock so that pages learn less of each other. Here it is ours, and kernels take microseconds.
    return create(["disable-dawn-features=timestamp_quantization"]);
  } catch (cause) {
    throw new DeviceError({
      code: "WEBGPU_UNAVAILABLE",
      message:
        "this host has no navigator.gpu, and the package webgpu (Dawn for Node) could not be loaded",
      fix: "install it: npm install webgpu; in a browser use one that has WebGPU",
      cause,
    });
  }
}
