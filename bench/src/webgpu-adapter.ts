import { findWebGpuAdapter } from "@latentkit/backend-webgpu";
import type { Device } from "@latentkit/tensor";
import { markedDevice, small } from "./size.ts";

/** A WebGPU device for a bench. The caller disposes it. */
export interface BenchGpu {
  readonly device: Device;
  /** Whether sizes are to be reduced: on a software adapter, and where `BENCH_SMALL` asks for it. */
  readonly reduced: boolean;
  /** For the row's column; says so where sizes are reduced. */
  readonly name: string;
}

/**
 * Opens WebGPU.
 *
 * @param products `"f16"` takes factors of matrix products in f16, by matrix units where there are any
 */
export async function openBenchGpu(products: "f16" | "f32" = "f32"): Promise<BenchGpu> {
  const adapter = await findWebGpuAdapter("high-performance");
  const { software } = adapter.description;
  const reduced = software || small;
  const device = await adapter.open({ products });
  const { matmul } = device.info;
  return {
    device,
    reduced,
    name: markedDevice(software ? `${matmul}, software` : matmul, reduced),
  };
}
